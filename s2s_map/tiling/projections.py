"""The equal-area projections that regions are mapped in, and how much a CRS distorts a region.

Equal-area projections keep areas exactly and pay with distances: the further from the centre or
the standard parallels, the more. `distance_error` says how much.

Regions that fit in no UTM zone get Lambert's azimuthal projection with its centre on a lattice of
longitudes and latitudes 20 degrees apart, so that neighbours often share one and their cells line
up; those that are too large for it, one of a lattice of 10 degrees or an Albers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS
from pyproj import Proj
from pyproj.exceptions import ProjError

from s2s_map.regions.extent import Extent

STEP = 20
"""Degrees between the centres of the lattice; docs/adr/0097 has the figures."""

FINE_STEP = 10
"""Degrees between those for regions too large for it."""

FAR = 0.03
"""Distance error up to which a region is shown well."""

TRUE_AREA = 0.01
"""Share to which areas are to be true."""

# Nearer to a pole the factors are not to be had to this precision.
_POLE = 89.9
# Beyond this latitude the pole itself is near.
_FARTHEST = 70
# Angles that differ less, in radians, are one: which of two centres is taken must not depend on
# the processor.
_SAME_ANGLE = 1e-7
_LAEA = re.compile(r"LAEA (\d+)([NS]) (\d+)([EW])", re.IGNORECASE)
_ALBERS = re.compile(r"Albers (\d+) (\d+)([NS]) (\d+)([EW])", re.IGNORECASE)
# Standard parallels of conic projections, for what is wide and far from the equator.
_PARALLELS = ((10, 40), (20, 50), (30, 60), (40, 70), (50, 80))


@dataclass(frozen=True)
class Projection:
    """An equal-area projection.

    Attributes:
        name: By which a config may ask for it.
        definition: EPSG code or PROJ definition, on WGS 84 or ETRS89; metres.
        cut: Longitude along which the map is torn apart; None where only the antipode is lost.
    """

    name: str
    definition: str
    cut: float | None = None

    @property
    def crs(self) -> CRS:
        """The CRS."""
        return _crs(self.definition)


ARCTIC = Projection("the Arctic", "EPSG:6931")
"""EASE-Grid 2.0 North: Lambert azimuthal, centre the pole."""

ANTARCTICA = Projection("Antarctica", "EPSG:6932")
"""EASE-Grid 2.0 South: Lambert azimuthal, centre the pole."""

EARTH = Projection("the Earth", "EPSG:6933", cut=180.0)
"""EASE-Grid 2.0 Global: cylindrical equal-area, parallels 30 N and 30 S."""


def _degrees(value: int, letters: str) -> str:
    return f"{abs(value)}{letters[value < 0]}"


def _signed(digits: str, letter: str) -> int:
    return -int(digits) if letter.upper() in "SW" else int(digits)


def laea(lat: int, lon: int) -> Projection:
    """Return Lambert's azimuthal equal-area projection centred on whole degrees."""
    if abs(lat) == 90:
        return ARCTIC if lat > 0 else ANTARCTICA
    return Projection(
        f"LAEA {_degrees(lat, 'NS')} {_degrees(lon, 'EW')}",
        f"+proj=laea +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m +no_defs",
    )


def albers(lat_1: int, lat_2: int, lon: int) -> Projection:
    """Return Albers' conic equal-area projection with two parallels of one hemisphere."""
    low, high = sorted((abs(lat_1), abs(lat_2)))
    return Projection(
        f"Albers {low} {high}{'S' if lat_1 < 0 else 'N'} {_degrees(lon, 'EW')}",
        f"+proj=aea +lat_1={lat_1} +lat_2={lat_2} +lat_0={(lat_1 + lat_2) // 2} +lon_0={lon} "
        "+datum=WGS84 +units=m +no_defs",
        cut=(lon + 360.0) % 360.0 - 180.0,
    )


def _old_laea(name: str, lat: int, lon: int) -> Projection:
    return Projection(name, laea(lat, lon).definition)


def _old_albers(name: str, lat_1: int, lat_2: int, lat_0: int, lon: int) -> Projection:
    return Projection(
        name,
        f"+proj=aea +lat_1={lat_1} +lat_2={lat_2} +lat_0={lat_0} +lon_0={lon} +datum=WGS84 "
        "+units=m +no_defs",
        cut=(lon + 360.0) % 360.0 - 180.0,
    )


NAMED = (
    Projection("Europe", "EPSG:3035"),
    _old_laea("Africa", 3, 18),
    _old_laea("Western Asia", 28, 48),
    _old_albers("Northern Asia", 50, 70, 60, 100),
    _old_albers("Central and eastern Asia", 25, 47, 36, 95),
    _old_laea("Southern and south-eastern Asia", 8, 100),
    _old_albers("North America", 20, 60, 40, -96),
    _old_laea("Central America and the Caribbean", 15, -82),
    _old_laea("South America", -15, -60),
    _old_albers("Australia", -18, -36, -27, 134),
    _old_laea("Pacific", -15, 170),
    ARCTIC,
    ANTARCTICA,
    EARTH,
)
"""One for each part of the Earth, for maps of several countries: taken where they are asked for."""


def named_projection(name: str) -> Projection | None:
    """Return the projection of a name: of `NAMED`, ``LAEA 40N 20E`` or ``Albers 50 80N 100E``."""
    known = next((one for one in NAMED if one.name == name), None)
    if known is not None:
        return known
    found = _LAEA.fullmatch(name)
    if found is not None:
        lat, lon = _signed(found[1], found[2]), _signed(found[3], found[4])
        return laea(lat, lon) if abs(lat) <= 90 and abs(lon) <= 180 else None
    found = _ALBERS.fullmatch(name)
    if found is None:
        return None
    low, high, lon = (_signed(found[k], found[n]) for k, n in ((1, 3), (2, 3), (4, 5)))
    return albers(low, high, lon) if 0 < abs(low) < abs(high) < 90 and abs(lon) <= 180 else None


def projection_of(crs: CRS) -> Projection | None:
    """Return the projection that a CRS is, if it has a name here."""
    definition = str(crs)
    known = next((one for one in NAMED if str(one.crs) == definition), None)
    if known is not None:
        return known
    values = dict(re.findall(r"\+(\w+)=(-?[\w.]+)", definition))
    try:
        if values.get("proj") == "laea":
            one = laea(int(values["lat_0"]), int(values["lon_0"]))
        elif values.get("proj") == "aea":
            one = albers(int(values["lat_1"]), int(values["lat_2"]), int(values["lon_0"]))
        else:
            return None
    except (KeyError, ValueError):
        return None
    return one if str(one.crs) == definition else None


def best_projection(lonlat: NDArray[np.float64], extent: Extent) -> Projection:
    """Return the projection that shows points best, of the coarsest lattice that shows them well.

    The centre of 20 degrees' steps from which the farthest point is nearest; where distances are
    off by more than 3 % there, the best of those of 10 degrees' steps and of the conic ones.

    Args:
        lonlat: Points along the edges and inside, degrees, shape (n, 2).
        extent: Where the region lies.
    """
    coarse = _nearest(lonlat, STEP)
    if distance_error(coarse.crs, lonlat) <= FAR:
        return coarse
    candidates = [coarse, _nearest(lonlat, FINE_STEP), *_conics(lonlat, extent)]
    errors = [round(distance_error(one.crs, lonlat), 6) for one in candidates]
    return candidates[errors.index(min(errors))]


@lru_cache(maxsize=4)
def lattice(step: int) -> tuple[tuple[int, int], ...]:
    """Return latitudes and longitudes of a lattice, from the equator and Greenwich outwards."""
    lats = [lat for lat in range(-90, 91) if lat % step == 0 and abs(lat) <= _FARTHEST]
    lons = sorted(range(-180 + step, 181, step), key=lambda lon: (abs(lon), lon))
    centres = [(lat, lon) for lat in sorted(lats, key=lambda lat: (abs(lat), -lat)) for lon in lons]
    return (*centres, (90, 0), (-90, 0))


def _nearest(lonlat: NDArray[np.float64], step: int) -> Projection:
    """Return the projection of a lattice whose centre is nearest to the farthest point."""
    farthest = (_centres(step) @ unit_vectors(lonlat).T).min(axis=1)
    angle = np.round(np.arccos(np.clip(farthest, -1.0, 1.0)) / _SAME_ANGLE)
    return laea(*lattice(step)[int(np.argmin(angle))])


@lru_cache(maxsize=4)
def _centres(step: int) -> NDArray[np.float64]:
    return unit_vectors(np.array(lattice(step), dtype=np.float64)[:, ::-1])


def _conics(lonlat: NDArray[np.float64], extent: Extent) -> list[Projection]:
    """Return the conic projections for a region of one hemisphere, at the nearest meridian."""
    south, north = float(lonlat[:, 1].min()), float(lonlat[:, 1].max())
    if south < 0.0 < north:
        return []
    sign = 1 if north > 0.0 else -1
    lon = round(extent.centre[0] / STEP) * STEP
    found = [albers(sign * low, sign * high, lon) for low, high in _PARALLELS]
    return [one for one in found if one.cut is None or not extent.holds_longitude(one.cut)]


def unit_vectors(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points on the unit sphere, shape (n, 3), of longitudes and latitudes in degrees."""
    lon, lat = np.radians(lonlat).T
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


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
