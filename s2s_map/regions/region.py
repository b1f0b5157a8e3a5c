"""The area of interest, as a value: as it was given, and in the CRS it is mapped in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS
from shapely.geometry.base import BaseGeometry

from s2s_map.regions.extent import Extent, extent_of
from s2s_map.regions.projections import LONLAT, dense, project


@dataclass(frozen=True)
class OtherPart:
    """A part of a place that is not mapped with it.

    Attributes:
        name: What it is called, or where it lies.
        area_km2: Square kilometres.
        region: What to write as `region:` to map it.
    """

    name: str
    area_km2: float
    region: str

    @property
    def label(self) -> str:
        """Name and size, such as ``Svalbard, 61,555 km2``."""
        return f"{self.name}, {self.area_km2:,.0f} km2"


@dataclass(frozen=True)
class Outline:
    """The area of interest as it was given.

    Attributes:
        geometry: Polygon or multipolygon in units of `crs`; one across the antimeridian in
            degrees is parted there.
        crs: CRS it came in.
        name: What it is called, for people.
        note: What is to be known about its borders; empty if nothing.
        place: The shipped place that it is of, as it was written; empty for none.
        region: What to write as `region:` for it, if it is of a place.
        others: The parts of that place that are not in it, by size.
    """

    geometry: BaseGeometry
    crs: CRS
    name: str = ""
    note: str = ""
    place: str = ""
    region: str = ""
    others: tuple[OtherPart, ...] = ()

    @cached_property
    def lonlat(self) -> BaseGeometry:
        """The outline in degrees, longitude first."""
        return project(self.geometry, self.crs, LONLAT)

    @cached_property
    def dense_points(self) -> NDArray[np.float64]:
        """Points along the edges, degrees, shape (n, 2)."""
        return np.asarray(shapely.get_coordinates(dense(self.lonlat)))

    @cached_property
    def extent(self) -> Extent:
        """Where it lies."""
        return extent_of(self.dense_points)


@dataclass(frozen=True)
class Region:
    """The area of interest.

    Attributes:
        polygon: Polygon or multipolygon in metres of `crs`; None for the whole of `bounds`.
        bounds: (minx, miny, maxx, maxy) in metres of `crs`.
        crs: Projected CRS in metres.
    """

    polygon: BaseGeometry | None
    bounds: tuple[float, float, float, float]
    crs: CRS

    @cached_property
    def edges(self) -> shapely.STRtree:
        """The edges of the polygon, to find those near a place."""
        rings = shapely.get_rings(shapely.get_parts(self.polygon))
        xy, ring = shapely.get_coordinates(rings, return_index=True)
        pairs = np.stack([xy[:-1], xy[1:]], axis=1)[ring[:-1] == ring[1:]]
        return shapely.STRtree(shapely.linestrings(pairs))

    def __reduce__(self) -> tuple[type[Region], tuple[Any, ...]]:
        # Worker processes make their own edges.
        return Region, (self.polygon, self.bounds, self.crs)
