"""Which CRS a region is mapped in."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS
from pyproj import Proj
from pyproj.exceptions import CRSError, ProjError

from s2s_map.errors import RegionError
from s2s_map.regions.extent import Extent, sample_points
from s2s_map.regions.region import Outline
from s2s_map.tiling.projections import (
    EARTH,
    best_projection,
    distance_error,
    named_projection,
)

# Areas of the source's own CRS must be true to this share for it to be taken without being asked
# for: it keeps Web Mercator and plate carrée, in which cells shrink towards the poles, out.
_TRUE_AREA = 0.01
_UTM_LATITUDES = (-80.0, 84.0)
# A region may reach a degree beyond its zone: at 4 degrees from the central meridian areas are
# true to 0.5 %, and a country such as Switzerland does not change its grid for a valley.
_UTM_REACH = 4.0
_FAR_OFF = 0.5


def is_metric(crs: CRS) -> bool:
    """Return whether a CRS is projected with axes in metres."""
    return bool(crs.projected) and all(
        math.isclose(axis.unit_conversion_factor, 1.0) for axis in crs.proj.axis_info[:2]
    )


def choose_crs(
    scene_crs: CRS | str | None, outline: Outline, requested: CRS | str | None = None
) -> CRS:
    """Return the CRS a region is mapped in.

    The requested CRS if there is one; else the imagery's own where it is in metres with areas
    true to 1 % at the region's centre, so that pixels are not warped; else the UTM zone of the
    region's centre where the region fits in it; else the equal-area projection of a lattice that
    distorts it least, see `best_projection`.

    Args:
        scene_crs: CRS of the imagery, if it has one CRS.
        outline: The region.
        requested: CRS named by the user.

    Raises:
        RegionError: For a requested CRS that is unknown or not in metres.
    """
    if requested is not None:
        return _requested(requested)
    points = sample_points(outline.lonlat)
    extent = outline.extent
    if scene_crs is not None:
        own = CRS(scene_crs)
        if is_metric(own) and _areas_true(own, *extent.centre):
            return own
    return fixed_crs(points, extent)


def fixed_crs(points: NDArray[np.float64], extent: Extent) -> CRS:
    """Return the UTM zone of a region that fits in it, else the best equal-area projection.

    Args:
        points: Points along the edges and inside, degrees, shape (n, 2).
        extent: Where the region lies.

    Raises:
        RegionError: For a region that none can show whole.
    """
    zone = _utm_zone(extent.centre[0])
    if _fits_utm(points, extent, zone):
        return CRS(f"EPSG:{(32700 if extent.centre[1] < 0 else 32600) + zone}")
    best = best_projection(points, extent)
    # What is drawn half as long again is beyond what an azimuthal map is meant for.
    if distance_error(best.crs, points) <= _FAR_OFF:
        return best.crs
    if not _whole_belt(extent):
        raise RegionError(
            f"a region of {extent.width:.0f} degrees of longitude across the antimeridian that no "
            "equal-area projection shows in one piece",
            remedy="split it, or name a projected CRS with grid: {crs: ...}",
        )
    return EARTH.crs


def _whole_belt(extent: Extent) -> bool:
    # All around the Earth there is no better place for the cut.
    return extent.width > 350.0 or not extent.holds_longitude(180.0)


def _utm_zone(lon: float) -> int:
    return int((lon + 180.0) % 360.0 // 6.0) + 1


def _fits_utm(points: NDArray[np.float64], extent: Extent, zone: int) -> bool:
    if extent.south < _UTM_LATITUDES[0] or extent.north > _UTM_LATITUDES[1]:
        return False
    off = (points[:, 0] - (6.0 * zone - 183.0) + 180.0) % 360.0 - 180.0
    return bool(np.abs(off).max() <= _UTM_REACH)


def _requested(requested: CRS | str) -> CRS:
    remedy = "give one such as EPSG:32632 (UTM zone 32N), or leave it out"
    named = named_projection(requested) if isinstance(requested, str) else None
    if named is not None:
        return named.crs
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


def _areas_true(crs: CRS, lon: float, lat: float) -> bool:
    try:
        scale = float(Proj(crs.proj).get_factors(lon, lat).areal_scale)
    except ProjError:
        return False
    return abs(scale - 1.0) <= _TRUE_AREA
