"""The fixed list of equal-area projections, and how much a CRS distorts a region.

Equal-area projections keep areas exactly and pay with distances: the further from the centre or
the standard parallels, the more. `distance_error` says how much.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS
from pyproj import Proj
from pyproj.exceptions import ProjError


@dataclass(frozen=True)
class Projection:
    """An entry of the fixed list.

    Attributes:
        name: Where it is meant for.
        definition: EPSG code or PROJ definition, on WGS 84 or ETRS89; metres.
        method: The kind of projection, and its centre or standard parallels.
        area: (west, south, east, north) in degrees of the centres of the regions it is meant for;
            west > east across the antimeridian.
        cut: Longitude along which the map is torn apart; None where only the antipode is lost.
    """

    name: str
    definition: str
    method: str
    area: tuple[float, float, float, float]
    cut: float | None = None

    @property
    def crs(self) -> CRS:
        """The CRS."""
        return _crs(self.definition)

    def is_for(self, lon: float, lat: float) -> bool:
        """Return whether a region centred here may be mapped in it."""
        west, south, east, north = self.area
        return south <= lat <= north and (lon - west) % 360.0 <= (east - west) % 360.0


Area = tuple[float, float, float, float]


def _laea(name: str, area: Area, lat: float, lon: float) -> Projection:
    return Projection(
        name,
        f"+proj=laea +lat_0={lat:g} +lon_0={lon:g} +datum=WGS84 +units=m +no_defs",
        f"Lambert azimuthal, centre {_degrees(lat, 'NS')} {_degrees(lon, 'EW')}",
        area,
    )


def _albers(
    name: str, area: Area, lat_1: float, lat_2: float, lat_0: float, lon: float
) -> Projection:
    return Projection(
        name,
        f"+proj=aea +lat_1={lat_1:g} +lat_2={lat_2:g} +lat_0={lat_0:g} +lon_0={lon:g} "
        "+datum=WGS84 +units=m +no_defs",
        f"Albers conic, parallels {_degrees(lat_1, 'NS')} and {_degrees(lat_2, 'NS')}, "
        f"centre {_degrees(lat_0, 'NS')} {_degrees(lon, 'EW')}",
        area,
        cut=(lon + 360.0) % 360.0 - 180.0,
    )


def _degrees(value: float, letters: str) -> str:
    return f"{abs(value):g} {letters[value < 0]}"


TRUE_AREA = 0.01
"""Share to which areas are to be true."""

# Nearer to a pole the factors are not to be had to this precision.
_POLE = 89.9

_EVERYWHERE = (-180.0, -90.0, 179.999999, 90.0)

FIXED_LIST = (
    Projection(
        "Europe", "EPSG:3035", "Lambert azimuthal, centre 52 N 10 E", (-32.0, 34.0, 50.0, 75.0)
    ),
    _laea("Africa", (-26.0, -41.0, 60.0, 38.0), 3, 18),
    _laea("Western Asia", (25.0, 10.0, 75.0, 45.0), 28, 48),
    _albers("Northern Asia", (30.0, 45.0, -168.0, 82.0), 50, 70, 60, 100),
    _albers("Central and eastern Asia", (45.0, 20.0, 150.0, 55.0), 25, 47, 36, 95),
    _laea("Southern and south-eastern Asia", (60.0, -13.0, 142.0, 36.0), 8, 100),
    _albers("North America", (-180.0, 15.0, -50.0, 75.0), 20, 60, 40, -96),
    _laea("Central America and the Caribbean", (-120.0, 5.0, -58.0, 33.0), 15, -82),
    _laea("South America", (-95.0, -57.0, -25.0, 15.0), -15, -60),
    _albers("Australia", (95.0, -50.0, 170.0, -8.0), -18, -36, -27, 134),
    _laea("Pacific", (130.0, -60.0, -95.0, 35.0), -15, 170),
    Projection(
        "the Arctic",
        "EPSG:6931",
        "EASE-Grid 2.0 North: Lambert azimuthal, centre the pole",
        (-180.0, 60.0, 179.999999, 90.0),
    ),
    Projection(
        "Antarctica",
        "EPSG:6932",
        "EASE-Grid 2.0 South: Lambert azimuthal, centre the pole",
        (-180.0, -90.0, 179.999999, -45.0),
    ),
    Projection(
        "the Earth",
        "EPSG:6933",
        "EASE-Grid 2.0 Global: cylindrical equal-area, parallels 30 N and 30 S",
        _EVERYWHERE,
        cut=180.0,
    ),
)
"""From which the CRS of a region comes that does not fit in a UTM zone."""


def projection_of(crs: CRS) -> Projection | None:
    """Return the entry of the fixed list that is this CRS, if it is one."""
    return next((entry for entry in FIXED_LIST if entry.crs == crs), None)


def distance_error(crs: CRS, lonlat: NDArray[np.float64]) -> float:
    """Return by what share a distance on the map may be off, at worst, over some points.

    The larger deviation from 1 of both axes of Tissot's indicatrix, the circle of the ground as
    the map shows it (Snyder, Map Projections, 1987, p. 20-26).

    Args:
        crs: Projected CRS.
        lonlat: Points in degrees, shape (n, 2).

    Returns:
        0.03 for 3 %; infinite where a point is beyond what the CRS can show.
    """
    try:
        # `errcheck` is left off: what cannot be shown comes back as infinity.
        factors = Proj(crs.proj).get_factors(lonlat[:, 0], lonlat[:, 1])
    except ProjError:
        return float("inf")
    longest, shortest = np.asarray(factors.tissot_semimajor), np.asarray(factors.tissot_semiminor)
    worst = float(np.max(np.maximum(np.abs(longest - 1.0), np.abs(shortest - 1.0))))
    return worst if np.isfinite(worst) else float("inf")


def area_error(crs: CRS, lonlat: NDArray[np.float64]) -> float:
    """Return by what share a cell on the map may be larger or smaller than it should, at worst.

    Args:
        crs: Projected CRS.
        lonlat: Points in degrees, shape (n, 2); those at the poles do not count.

    Returns:
        0.01 for 1 %; infinite where a point is beyond what the CRS can show.
    """
    lon, lat = lonlat[np.abs(lonlat[:, 1]) < _POLE].T
    if not lon.size:
        return 0.0
    try:
        factors = Proj(crs.proj).get_factors(lon, lat)
    except ProjError:
        return float("inf")
    worst = float(np.abs(np.asarray(factors.areal_scale) - 1.0).max())
    return worst if np.isfinite(worst) else float("inf")


@lru_cache(maxsize=64)
def _crs(definition: str) -> CRS:
    return CRS(definition)
