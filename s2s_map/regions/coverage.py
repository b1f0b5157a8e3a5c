"""Where a source has imagery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from odc.geo.crs import CRS
from shapely.geometry.base import BaseGeometry


class Covers(Protocol):
    """Whatever has an outline on the ground, such as a scene."""

    @property
    def footprint(self) -> BaseGeometry:
        """The outline, in units of `crs`."""

    @property
    def crs(self) -> CRS:
        """CRS of the outline."""


@dataclass(frozen=True)
class Coverage:
    """An outline of imagery.

    Attributes:
        footprint: Polygon or multipolygon in units of `crs`.
        crs: Its CRS.
    """

    footprint: BaseGeometry
    crs: CRS
