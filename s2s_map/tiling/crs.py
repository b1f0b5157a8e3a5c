"""Which CRS a region is mapped in."""

from __future__ import annotations

import math

from odc.geo.crs import CRS
from pyproj import Proj
from pyproj.exceptions import CRSError, ProjError

from s2s_map.errors import RegionError

# Areas of the source's own CRS must be true to this share for it to be taken without being asked
# for: it keeps Web Mercator and plate carrée, in which cells shrink towards the poles, out.
_TRUE_AREA = 0.01
_UTM_LATITUDES = (-80.0, 84.0)


def is_metric(crs: CRS) -> bool:
    """Return whether a CRS is projected with axes in metres."""
    return bool(crs.projected) and all(
        math.isclose(axis.unit_conversion_factor, 1.0) for axis in crs.proj.axis_info[:2]
    )


def choose_crs(
    scene_crs: CRS | str | None,
    bounds_lonlat: tuple[float, float, float, float],
    requested: CRS | str | None = None,
) -> CRS:
    """Return the CRS a region is mapped in.

    The requested CRS if there is one; else the imagery's own where it is in metres with areas
    true to 1 % at the region's centre, so that pixels are not warped; else the UTM zone of the
    region's centre.

    Args:
        scene_crs: CRS of the imagery, if it has one CRS.
        bounds_lonlat: (west, south, east, north) of the region in degrees; west > east where it
            crosses the antimeridian.
        requested: CRS named by the user.

    Raises:
        RegionError: For a requested CRS that is unknown or not in metres, or a centre beyond UTM.
    """
    if requested is not None:
        return _requested(requested)
    lon, lat = _centre(bounds_lonlat)
    if scene_crs is not None:
        own = CRS(scene_crs)
        if is_metric(own) and _areas_true(own, lon, lat):
            return own
    if not _UTM_LATITUDES[0] <= lat <= _UTM_LATITUDES[1]:
        raise RegionError(
            f"a region centred on latitude {lat:.2f}",
            expected="80 S to 84 N, where UTM zones are defined",
            remedy="name a projected CRS with crs:, such as EPSG:6933 or a polar one",
        )
    return CRS.utm(lon, lat)


def _requested(requested: CRS | str) -> CRS:
    remedy = "give one such as EPSG:32632 (UTM zone 32N), or leave it out"
    try:
        crs = CRS(requested)
    except CRSError:
        raise RegionError(f"the CRS {requested!r} is unknown", remedy=remedy) from None
    if not is_metric(crs):
        raise RegionError(
            f"the CRS {requested} is not in metres",
            expected="a projected CRS",
            remedy=remedy,
        )
    return crs


def _centre(bounds: tuple[float, float, float, float]) -> tuple[float, float]:
    west, south, east, north = bounds
    if west > east:
        east += 360.0
    lon = (west + east) / 2.0
    return (lon + 180.0) % 360.0 - 180.0, (south + north) / 2.0


def _areas_true(crs: CRS, lon: float, lat: float) -> bool:
    try:
        scale = float(Proj(crs.proj).get_factors(lon, lat).areal_scale)
    except ProjError:
        return False
    return abs(scale - 1.0) <= _TRUE_AREA
