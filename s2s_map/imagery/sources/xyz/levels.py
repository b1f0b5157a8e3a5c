"""Levels of web tiles as grids of pixels: web mercator's quad, or any matrix set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from odc.geo.crs import CRS

from s2s_map.config.webtiles import XyzEntry
from s2s_map.imagery.sources.xyz.webtile import (
    HALF_WORLD_M,
    MAX_LATITUDE,
    WebTileRange,
    mercator_y,
)
from s2s_map.regions.projections import LONLAT

WEB_MERCATOR = CRS("EPSG:3857")

_METRES = HALF_WORLD_M / 180.0
_TOLERANCE = 1.1

type Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Level:
    """A level of web tiles.

    Attributes:
        z: Its number, 0 for the coarsest.
        name: What the server calls it.
        crs: CRS of the tiles.
        pixel: Side of a pixel, in units of `crs`.
        left: West edge of column 0.
        top: North edge of row 0.
        tile_px: Pixels along a web tile's side.
        there: The web tiles that there are.
    """

    z: int
    name: str
    crs: CRS
    pixel: float
    left: float
    top: float
    tile_px: int
    there: WebTileRange

    @property
    def is_mercator(self) -> bool:
        """Whether it is of web mercator, whose scale changes with the latitude."""
        return self.crs == WEB_MERCATOR

    @property
    def unit_m(self) -> float:
        """Metres of a unit of the CRS; of degrees, along a meridian."""
        if self.crs.geographic:
            return _METRES
        return float(self.crs.proj.axis_info[0].unit_conversion_factor)

    def ground_m(self, latitude: float) -> float:
        """Return the longer side of a pixel on the ground, metres."""
        if self.is_mercator:
            return self.pixel * math.cos(math.radians(latitude))
        return self.pixel * self.unit_m

    def least_m(self, latitude: float) -> float:
        """Return the shorter side of a pixel on the ground, metres."""
        shrunk = math.cos(math.radians(latitude)) if self.crs.geographic else 1.0
        return self.ground_m(latitude) * shrunk

    def xy(self, lon: float, lat: float) -> tuple[float, float]:
        """Return longitude and latitude in the CRS, where that is web mercator or degrees."""
        return (lon, lat) if self.crs.geographic else (lon * _METRES, mercator_y(lat))

    def covering(self, bounds: Bounds) -> WebTileRange:
        """Return the web tiles that touch bounds in the CRS, of those that there are."""
        side = self.pixel * self.tile_px
        minx, miny, maxx, maxy = bounds
        reach = WebTileRange(
            self.z,
            math.floor((minx - self.left) / side),
            math.floor((self.top - maxy) / side),
            math.ceil((maxx - self.left) / side),
            math.ceil((self.top - miny) / side),
        )
        return reach & self.there

    def declared(self, bounds: Bounds | None) -> WebTileRange:
        """Return the web tiles of (west, south, east, north) in degrees; None: all."""
        if bounds is None:
            return self.there
        west, south, east, north = bounds
        if self.is_mercator or self.crs.geographic:
            return self.covering((*self.xy(west, south), *self.xy(east, north)))
        return self.covering(within(bounds, LONLAT, self.crs) or (0.0, 0.0, 0.0, 0.0))


def within(bounds: Bounds, crs: CRS, other: CRS) -> Bounds | None:
    """Return the box of bounds in another CRS; None where that cannot show them."""
    transformer = _transformer(crs, other)
    found = transformer.transform_bounds(*bounds, densify_pts=21)
    west, south, east, north = (float(edge) for edge in found)
    whole = all(map(math.isfinite, found)) and west < east and south < north
    return (west, south, east, north) if whole else None


@lru_cache(maxsize=64)
def _transformer(crs: CRS, other: CRS):  # type: ignore[no-untyped-def]
    from pyproj import Transformer

    return Transformer.from_crs(crs.proj, other.proj, always_xy=True)


@lru_cache(maxsize=256)
def quad_level(zoom: int, tile_px: int) -> Level:
    """Return a level of web mercator's quad."""
    count = 2**zoom
    return Level(
        z=zoom,
        name=str(zoom),
        crs=WEB_MERCATOR,
        pixel=2.0 * HALF_WORLD_M / float(tile_px * count),
        left=-HALF_WORLD_M,
        top=HALF_WORLD_M,
        tile_px=tile_px,
        there=WebTileRange(zoom, 0, 0, count, count),
    )


def level_of(entry: XyzEntry, zoom: int) -> Level:
    """Return a level of an entry's web tiles."""
    if entry.grid is None:
        return quad_level(zoom, entry.tile_px)
    own = entry.grid.levels[zoom]
    return Level(
        z=zoom,
        name=own.id,
        crs=CRS(entry.grid.crs),
        pixel=own.pixel,
        left=own.left,
        top=own.top,
        tile_px=entry.tile_px,
        there=WebTileRange(zoom, own.columns[0], own.rows[0], own.columns[1], own.rows[1]),
    )


def choose_level(entry: XyzEntry, south: float, north: float) -> int:
    """Return the coarsest level whose pixels are at most as large as wanted all over a region.

    Ten per cent are let pass, so that 0.6 m takes Bing's level 18 (0.597 m) and 10 m level 14
    (9.55 m) at the equator. Beyond the levels there are, the nearest is taken.

    Args:
        entry: The catalog entry.
        south: South edge of the region, degrees.
        north: North edge, degrees.

    Examples:
        >>> from s2s_map import load_catalog
        >>> bing = load_catalog()["azure_maps_imagery"]
        >>> choose_level(bing, 52.3, 52.4), choose_level(bing, 61.0, 62.0)
        (18, 17)
    """
    nearest = 0.0 if south <= 0.0 <= north else min(abs(south), abs(north))
    latitude = min(nearest, MAX_LATITUDE)
    last = entry.max_zoom if entry.grid is None else min(entry.max_zoom, len(entry.grid.levels) - 1)
    for zoom in range(entry.min_zoom, last + 1):
        if level_of(entry, zoom).ground_m(latitude) <= entry.sensor.gsd_m * _TOLERANCE:
            return zoom
    return last
