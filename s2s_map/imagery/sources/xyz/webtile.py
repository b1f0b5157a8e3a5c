"""Web tiles as numbers: their place, name, level, and address. Nothing is fetched here."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2s_map.config.webtiles import XyzEntry

HALF_WORLD_M = math.pi * 6378137.0
"""Half the width of web mercator (EPSG:3857) in its metres."""

MAX_LATITUDE = math.degrees(math.atan(math.sinh(math.pi)))
"""Latitude of the edge of the square that web mercator shows."""

_TOLERANCE = 1.1
_SWITCH = re.compile(r"\{switch:([^}]*)\}")


@dataclass(frozen=True, order=True)
class WebTile:
    """One web tile.

    Attributes:
        z: Level; level 0 is one web tile.
        x: Column from 180 degrees west.
        y: Row from the north.
    """

    z: int
    x: int
    y: int

    @property
    def quadkey(self) -> str:
        """Bing's name: a digit per level, the bits of row and column interleaved.

        Source: Bing Maps Tile System, Microsoft.

        Examples:
            >>> WebTile(3, 3, 5).quadkey
            '213'
        """
        digits = ((self.x >> bit & 1) + 2 * (self.y >> bit & 1) for bit in range(self.z))
        return "".join(map(str, digits))[::-1]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(minx, miny, maxx, maxy) in metres of EPSG:3857."""
        side = 2.0 * HALF_WORLD_M / float(2**self.z)
        west, north = -HALF_WORLD_M + self.x * side, HALF_WORLD_M - self.y * side
        return west, north - side, west + side, north


def address(entry: XyzEntry, webtile: WebTile) -> str:
    """Return the address of a web tile; places for keys are left as they are.

    The same web tile always gets the same subdomain.
    """

    def pick(names: list[str]) -> str:
        return names[(webtile.x + webtile.y) % len(names)].strip()

    text = _SWITCH.sub(lambda match: pick(match[1].split(",")), entry.url)
    places = {
        "{z}": str(webtile.z),
        "{x}": str(webtile.x),
        "{y}": str(webtile.y),
        "{-y}": str(2**webtile.z - 1 - webtile.y),
        "{TileMatrix}": str(webtile.z),
        "{TileCol}": str(webtile.x),
        "{TileRow}": str(webtile.y),
        "{quadkey}": webtile.quadkey,
        "{bbox}": ",".join(f"{edge:.6f}" for edge in webtile.bounds),
    }
    if entry.subdomains:
        places["{s}"] = pick(list(entry.subdomains))
    for place, value in places.items():
        text = text.replace(place, value)
    return text


def pixel_size(zoom: int, latitude: float, tile_px: int) -> float:
    """Return the side of a pixel on the ground in metres.

    Web mercator stretches by 1 / cos(latitude); the sphere of its formula stands for the Earth.
    """
    return 2.0 * HALF_WORLD_M * math.cos(math.radians(latitude)) / float(tile_px * 2**zoom)


def choose_zoom(
    gsd_m: float, south: float, north: float, tile_px: int, levels: tuple[int, int]
) -> int:
    """Return the coarsest level whose pixels are at most as large as wanted all over a region.

    Ten per cent are let pass, so that 0.6 m takes Bing's level 18 (0.597 m) and 10 m level 14
    (9.55 m) at the equator. Beyond the levels there are, the nearest is taken.

    Args:
        gsd_m: Wanted ground sample distance, metres.
        south: South edge of the region, degrees.
        north: North edge, degrees.
        tile_px: Pixels along a web tile's side.
        levels: Coarsest and finest level there is.

    Examples:
        >>> choose_zoom(0.6, 52.3, 52.4, 256, (0, 19)), choose_zoom(0.6, 61.0, 62.0, 256, (0, 19))
        (18, 17)
    """
    nearest = 0.0 if south <= 0.0 <= north else min(abs(south), abs(north))
    latitude = min(nearest, MAX_LATITUDE)
    for zoom in range(levels[0], levels[1] + 1):
        if pixel_size(zoom, latitude, tile_px) <= gsd_m * _TOLERANCE:
            return zoom
    return levels[1]


def mercator_y(latitude: float) -> float:
    """Return y in metres of EPSG:3857; beyond its square, the square's edge."""
    bounded = math.radians(min(max(latitude, -MAX_LATITUDE), MAX_LATITUDE))
    return math.asinh(math.tan(bounded)) * 6378137.0


@dataclass(frozen=True)
class WebTileRange:
    """A rectangle of web tiles of one level.

    Attributes:
        z: Level.
        left: First column.
        top: First row.
        right: Column behind the last.
        bottom: Row behind the last.
    """

    z: int
    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def covering(cls, bounds: tuple[float, float, float, float], zoom: int) -> WebTileRange:
        """Return the web tiles that touch bounds in metres of EPSG:3857, within the world."""
        side, count = 2 * HALF_WORLD_M / 2**zoom, 2**zoom
        minx, miny, maxx, maxy = bounds
        left, right = (minx + HALF_WORLD_M) / side, (maxx + HALF_WORLD_M) / side
        top, bottom = (HALF_WORLD_M - maxy) / side, (HALF_WORLD_M - miny) / side
        return cls(
            zoom,
            min(max(math.floor(left), 0), count),
            min(max(math.floor(top), 0), count),
            min(max(math.ceil(right), 0), count),
            min(max(math.ceil(bottom), 0), count),
        )

    def __and__(self, other: WebTileRange) -> WebTileRange:
        """Return what both share, possibly nothing."""
        return WebTileRange(
            self.z,
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    @property
    def count(self) -> int:
        """How many web tiles there are."""
        return max(0, self.right - self.left) * max(0, self.bottom - self.top)

    def webtiles(self) -> list[WebTile]:
        """Return the web tiles, row by row."""
        return [
            WebTile(self.z, x, y)
            for y in range(self.top, self.bottom)
            for x in range(self.left, self.right)
        ]


def count_webtiles(ranges: Sequence[WebTileRange]) -> int:
    """Return how many web tiles ranges of one level hold together, each counted once.

    Examples:
        >>> count_webtiles([WebTileRange(3, 0, 0, 2, 2), WebTileRange(3, 1, 1, 3, 3)])
        7
    """
    held = [found for found in ranges if found.count]
    if not held:
        return 0
    edges = np.array([(f.left, f.top, f.right, f.bottom) for f in held], dtype=np.int64)
    heights = edges[:, 3] - edges[:, 1]
    which = np.repeat(np.arange(len(edges)), heights)
    # Row by row, all rows in a line: intervals, sorted by where they begin.
    rows = np.arange(heights.sum()) - np.repeat(np.cumsum(heights) - heights, heights)
    start = (edges[which, 1] + rows) * (2 << held[0].z)
    left, right = start + edges[which, 0], start + edges[which, 2]
    order = np.argsort(left, kind="stable")
    left, right = left[order], right[order]
    before = np.concatenate([[-1], np.maximum.accumulate(right)[:-1]])
    return int(np.clip(right - np.maximum(left, before), 0, None).sum())
