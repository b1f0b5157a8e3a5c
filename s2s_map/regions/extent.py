"""Where on the Earth an outline lies, by points along it: extent, centre, inner points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

_POINTS = 4000
_INNER = 24
# Outlines whose points leave no wider gap than this, degrees, go around the Earth.
_AROUND = 1.0


@dataclass(frozen=True)
class Extent:
    """A range of longitudes and latitudes, degrees.

    Attributes:
        west: -180 to 180.
        south: Least latitude.
        east: -180 to 180; less than west where the antimeridian lies between.
        north: Largest latitude.
    """

    west: float
    south: float
    east: float
    north: float

    @property
    def width(self) -> float:
        """Degrees of longitude from west to east."""
        return (self.east - self.west) % 360.0 if self.east != self.west + 360.0 else 360.0

    @property
    def centre(self) -> tuple[float, float]:
        """Longitude and latitude of the middle."""
        lon = (self.west + self.width / 2.0 + 180.0) % 360.0 - 180.0
        return lon, (self.south + self.north) / 2.0

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north)."""
        return self.west, self.south, self.east, self.north

    def holds_longitude(self, lon: float) -> bool:
        """Return whether a longitude lies well within, its ends apart."""
        return 1e-6 < (lon - self.west) % 360.0 < self.width - 1e-6


def extent_of(lonlat: NDArray[np.float64]) -> Extent:
    """Return the shortest extent that holds points, across the antimeridian where that is shorter.

    Args:
        lonlat: Points in degrees, shape (n, 2), along edges densely enough that their largest
            gap is no part of the outline.
    """
    south, north = float(lonlat[:, 1].min()), float(lonlat[:, 1].max())
    lons = np.unique(np.where(lonlat[:, 0] == 180.0, -180.0, lonlat[:, 0]))
    gaps = np.diff(lons, append=lons[0] + 360.0)
    widest = int(np.argmax(gaps))
    if gaps[widest] < _AROUND:
        return Extent(-180.0, south, 180.0, north)
    west, east = float(lons[(widest + 1) % len(lons)]), float(lons[widest])
    if east == -180.0 and west != -180.0:
        east = 180.0
    return Extent(west, south, east, north)


def sample_points(geometry: BaseGeometry) -> NDArray[np.float64]:
    """Return some thousand points along the edges and inside an outline, shape (n, 2).

    Every part is represented. Distortions are largest at edges, or between standard parallels.

    Args:
        geometry: Polygon or multipolygon with longitude and latitude in degrees.
    """
    edges = shapely.get_coordinates(geometry)
    step = max(1, len(edges) // _POINTS)
    return np.concatenate([edges[::step], _extremes(edges), inner_points(geometry)])


def inner_points(geometry: BaseGeometry) -> NDArray[np.float64]:
    """Return a point in every part and some hundred on a lattice inside, shape (n, 2)."""
    inner = shapely.get_coordinates(shapely.point_on_surface(shapely.get_parts(geometry)))
    west, south, east, north = geometry.bounds
    x, y = np.meshgrid(np.linspace(west, east, _INNER), np.linspace(south, north, _INNER))
    shapely.prepare(geometry)
    inside = np.asarray(shapely.contains_xy(geometry, x.ravel(), y.ravel()))
    return np.concatenate([inner, np.column_stack([x.ravel(), y.ravel()])[inside]])


def _extremes(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points at the ends of every axis, which thinning may have lost."""
    ends = [points[:, axis].argmin() for axis in (0, 1)]
    ends += [points[:, axis].argmax() for axis in (0, 1)]
    return points[ends]
