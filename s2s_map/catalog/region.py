"""The area of interest, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from odc.geo.crs import CRS
from shapely.geometry.base import BaseGeometry


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
