"""Parting a region that no one projection shows well into boxes of which each has its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS
from shapely.geometry.base import BaseGeometry

from s2s_map.catalog.extent import Extent
from s2s_map.catalog.region import Outline
from s2s_map.errors import RegionError
from s2s_map.tiling.crs import fixed_crs
from s2s_map.tiling.projections import distance_error, projection_of

_MOST_CUTS = 10
_SAMPLES = 25
# Edges of boxes lie on hundredths of a degree.
_STEP = 0.01
# Share of a side from which a gap between parts is worth a cut.
_GAP = 0.05
# Places along a side at which cutting is tried.
_PLACES = 3
# Width of a zone of UTM, degrees.
_ZONE = 6.0


@dataclass(frozen=True)
class SplitBox:
    """A part of a region, ready to be a region.

    Attributes:
        region: (west, south, east, north) in degrees; west > east across the antimeridian.
        crs: CRS it would be mapped in.
        distance_error: By what share a distance on its map may be off, at worst.
    """

    region: tuple[float, float, float, float]
    crs: str
    distance_error: float


def split_boxes(outline: Outline, most: float) -> list[SplitBox]:
    """Return boxes that hold a region, in each of which distances are true enough.

    The region is cut in two where that takes fewest boxes, and into zones of UTM where no cut
    helps; parts are shrunk to what of the region they hold.

    Args:
        outline: The region.
        most: Distance error to stay below, 0.03 for 3 %.
    """
    geometry = _unwrapped(outline)
    return list(_parts(geometry, most, _MOST_CUTS))


def _unwrapped(outline: Outline) -> BaseGeometry:
    """Return the outline with longitudes that rise from its west, beyond 180 if need be."""
    west = outline.extent.west
    parts = []
    for part in shapely.get_parts(outline.lonlat):
        shift = 360.0 if part.bounds[0] < west - 1e-9 else 0.0
        parts.append(shapely.affinity.translate(part, shift) if shift else part)
    return shapely.make_valid(shapely.union_all(parts))


def _parts(geometry: BaseGeometry, most: float, cuts: int) -> Iterator[SplitBox]:
    west, south, east, north = _tight(geometry)
    box = _box(west, south, east, north)
    if box.distance_error <= most or not cuts:
        yield box
        return
    sides = (
        [part for part in (geometry.intersection(half) for half in pair) if part.area > 0.0]
        for pair in _cuts(geometry, (west, south, east, north))
    )
    halves = min(sides, key=lambda parts: sum(_count(part, most) for part in parts))
    if sum(_count(part, most) for part in halves) >= _count(geometry, most):
        halves, cuts = _strips(geometry), 1
    for part in halves:
        yield from _parts(part, most, cuts - 1)


def _count(geometry: BaseGeometry, most: float) -> int:
    """Return how many boxes a part takes: one, or as many as it meets zones of UTM."""
    west, south, east, north = _tight(geometry)
    if _box(west, south, east, north).distance_error <= most:
        return 1
    return math.ceil(east / _ZONE) - math.floor(west / _ZONE)


def _strips(geometry: BaseGeometry) -> list[BaseGeometry]:
    """Return what lies in each zone of UTM: distances are true to 0.1 % there."""
    west, south, east, north = geometry.bounds
    zones = range(math.floor(west / _ZONE), math.ceil(east / _ZONE))
    strips = (shapely.box(z * _ZONE, south, (z + 1) * _ZONE, north) for z in zones)
    parts = (geometry.intersection(strip) for strip in strips)
    return [part for part in parts if part.area > 0.0]


def _cuts(
    geometry: BaseGeometry, bounds: tuple[float, float, float, float]
) -> Iterator[tuple[BaseGeometry, BaseGeometry]]:
    """Yield the two sides of each cut worth trying."""
    west, south, east, north = bounds
    edges = np.array([part.bounds for part in shapely.get_parts(geometry)])
    for axis in (0, 1):
        places = list(np.linspace(bounds[axis], bounds[axis + 2], _PLACES + 2)[1:-1])
        order = np.argsort(edges[:, axis])
        lows, reach = edges[order, axis], np.maximum.accumulate(edges[order, axis + 2])
        gaps = lows[1:] - reach[:-1]
        if gaps.size and gaps.max() > _GAP * (bounds[axis + 2] - bounds[axis]):
            widest = int(gaps.argmax())
            places.append((lows[widest + 1] + reach[widest]) / 2.0)
        for place in places:
            at = round(place / _STEP) * _STEP
            if axis == 0:
                yield shapely.box(west, south, at, north), shapely.box(at, south, east, north)
            else:
                yield shapely.box(west, south, east, at), shapely.box(west, at, east, north)


def _tight(geometry: BaseGeometry) -> tuple[float, float, float, float]:
    west, south, east, north = geometry.bounds
    return (
        math.floor(round(west / _STEP, 6)) * _STEP,
        max(-90.0, math.floor(round(south / _STEP, 6)) * _STEP),
        math.ceil(round(east / _STEP, 6)) * _STEP,
        min(90.0, math.ceil(round(north / _STEP, 6)) * _STEP),
    )


def _box(west: float, south: float, east: float, north: float) -> SplitBox:
    bounds = (_longitude(west, -180.0), round(south, 2), _longitude(east, 180.0), round(north, 2))
    if east - west >= 360.0:
        bounds = (-180.0, bounds[1], 180.0, bounds[3])
    points = _lattice(west, south, east, north)
    try:
        crs = fixed_crs(points, Extent(*bounds))
    except RegionError:
        return SplitBox(bounds, "none", math.inf)
    return SplitBox(bounds, _name(crs), distance_error(crs, points))


def _longitude(lon: float, edge: float) -> float:
    """Return a longitude within -180 to 180, the antimeridian as the side that is asked for."""
    wrapped = round((lon + 180.0) % 360.0 - 180.0, 2)
    return edge if abs(wrapped) == 180.0 else wrapped


def _lattice(west: float, south: float, east: float, north: float) -> NDArray[np.float64]:
    lon, lat = np.meshgrid(np.linspace(west, east, _SAMPLES), np.linspace(south, north, _SAMPLES))
    return np.column_stack([(lon.ravel() + 180.0) % 360.0 - 180.0, lat.ravel()])


def _name(crs: CRS) -> str:
    code = crs.to_epsg()
    if code:
        return f"EPSG:{code}"
    entry = projection_of(crs)
    return str(crs) if entry is None else entry.name
