"""Geometries between CRSs, their edges densified so that they follow the ground."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS
from shapely.geometry.base import BaseGeometry

from s2s_map.regions.extent import inner_points

LONLAT = CRS("EPSG:4326")
_PIECES = 100
# Edges that neighbours share are cut at the same points, however large either is.
_LONGEST = {True: 0.05, False: 5_000.0}
_CAME_BACK_DEGREES = 1e-4
_CAME_BACK_M = 10.0


def project(geometry: BaseGeometry, source: CRS, target: CRS) -> BaseGeometry:
    """Return a geometry in another CRS; x or longitude first in both.

    Edges are cut into pieces of at most a hundredth of the geometry's extent and 0.05 degrees or
    5 km, since a straight edge of one CRS is a curve in the other. Coordinates that the target
    cannot show come out infinite.
    """
    if source == target:
        return geometry
    to_target = source.transformer_to_crs(target, always_xy=True)

    def convert(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(to_target(points[:, 0], points[:, 1]))

    return shapely.transform(dense(geometry, bool(source.geographic)), convert)


def survives(geometry: BaseGeometry, source: CRS, target: CRS) -> bool:
    """Return whether a geometry comes back from another CRS where it was, to a few metres.

    Far outside its area a CRS may give coordinates that are finite and meaningless.
    """
    edges = shapely.get_coordinates(dense(geometry, bool(source.geographic)))
    x, y = np.concatenate([edges, inner_points(geometry)]).T
    there = source.transformer_to_crs(target, always_xy=True)(x, y)
    if not np.isfinite(there).all():
        return False
    back_x, back_y = target.transformer_to_crs(source, always_xy=True)(*there)
    off_x, off_y = np.abs(back_x - x), np.abs(back_y - y)
    if not source.geographic:
        return bool(max(off_x.max(), off_y.max()) <= _CAME_BACK_M)
    # 180 degrees west are 180 degrees east.
    off_x = np.minimum(off_x, 360.0 - off_x) * np.cos(np.radians(y))  # at a pole any will do
    return bool(max(off_x.max(), off_y.max()) <= _CAME_BACK_DEGREES)


def is_finite(geometry: BaseGeometry) -> bool:
    """Return whether all coordinates are finite and there are some."""
    points = shapely.get_coordinates(geometry)
    return bool(len(points) and np.isfinite(points).all())


def dense(geometry: BaseGeometry, degrees: bool = True) -> BaseGeometry:
    """Return a geometry whose edges are cut into pieces fit to be projected one by one.

    Args:
        geometry: The geometry; a third dimension is dropped.
        degrees: Whether it is in degrees, or else in metres.
    """
    flat = shapely.force_2d(geometry)
    minx, miny, maxx, maxy = geometry.bounds
    extent = max(maxx - minx, maxy - miny)
    return shapely.segmentize(flat, min(extent / _PIECES, _LONGEST[degrees])) if extent else flat
