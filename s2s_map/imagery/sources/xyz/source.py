"""Web tiles, mosaicked: the source of entries of type ``xyz``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import shapely
from odc.geo.crs import CRS

from s2s_map.arrays import Hole, ImageBlock, Pieces, joined_pieces
from s2s_map.config.webtiles import XyzEntry
from s2s_map.imagery.lattice import Bounds, Lattice, PixelWindow, square_side, squares_of
from s2s_map.imagery.mosaic import read_zones
from s2s_map.imagery.rate_limits.host_limits import HELD_BYTES
from s2s_map.imagery.requests import Requests
from s2s_map.imagery.source import LonLatBounds, Read, Source
from s2s_map.imagery.sources.xyz.content import content_digest
from s2s_map.imagery.sources.xyz.webtile import (
    WebTile,
    WebTileRange,
    choose_zoom,
    count_webtiles,
    pixel_size,
)
from s2s_map.imagery.sources.xyz.zone import (
    declared_range,
    mercator_boxes,
    ranges_under,
    zones_under,
)
from s2s_map.redaction import redacted
from s2s_map.regions.coverage import Coverage
from s2s_map.regions.projections import LONLAT

_BANDS = 3
# Pixels of the lattice, and of web tiles under them, along a side of what is read in one go.
_PART_PX, _SOURCE_PX = 2048, 4096
# Squares to count web tiles by, at most; those of a large country at full size are millions.
_MOST_COUNTED = 100_000
# JPEG of imagery in high quality; roughly, for the plan.
_FILE_BYTES_A_PIXEL = 0.3


@dataclass(frozen=True)
class XyzSource(Source):
    """Web tiles of one level.

    Attributes:
        entry: The catalog entry.
        area: (west, south, east, north) in degrees, for which the level is chosen; None for all
            that the entry has.
    """

    entry: XyzEntry
    area: LonLatBounds | None = None

    @property
    def coverage(self) -> tuple[Coverage, ...]:
        """The declared bounds; nothing for the whole Earth."""
        if self.entry.bounds is None:
            return ()
        return (Coverage(shapely.box(*self.entry.bounds), LONLAT),)

    @property
    def crs(self) -> CRS | None:
        """None: maps are not made in web mercator, whose areas are not true."""
        return None

    @property
    def level(self) -> int:
        """Level of the web tiles, the same all over the area."""
        entry = self.entry
        if entry.zoom is not None:
            return entry.zoom
        _, south, _, north = self.area or entry.bounds or (-180.0, -90.0, 180.0, 90.0)
        levels = (entry.min_zoom, entry.max_zoom)
        return choose_zoom(entry.sensor.gsd_m, south, north, entry.tile_px, levels)

    def over(self, area: LonLatBounds) -> XyzSource:
        """Return the source with the level for an area."""
        return XyzSource(self.entry, area)

    def _read(self, bounds: Bounds, shape: tuple[int, int], crs: CRS) -> ImageBlock:
        lattice, window = Lattice.of(bounds, shape)
        pixels = np.zeros((3, *shape), dtype=np.uint8)
        valid = np.zeros(shape, dtype=np.bool_)
        missing: dict[WebTile, str] = {}
        pixel = float(lattice.pixel_m)
        for square, inside in squares_of(window, self._part_side(bounds, pixel, crs)):
            zones = zones_under(self.entry, self.level, lattice, square, inside, crs)
            block = read_zones(zones, lattice.bounds(inside), (inside.height, inside.width), crs)
            rows, cols = inside.slices_in(window)
            pixels[:, rows, cols] = block.pixels
            valid[rows, cols] = block.valid
            for zone in zones:
                missing.update(zone.missing)
            if missing and self.entry.on_missing == "fail":
                break
        where = redacted(self.entry.url.split("?")[0])
        return ImageBlock(pixels, valid, _holes(missing, where))

    def _part_side(self, bounds: Bounds, pixel_m: float, crs: CRS) -> int:
        farthest = 0.0
        if crs != CRS("EPSG:3857"):
            # Pixels of the level are finest where the area reaches farthest from the equator; it
            # must be the same side for all blocks.
            _, south, _, north = self.area or self.entry.bounds or (0.0, -60.0, 0.0, 60.0)
            farthest = min(max(abs(south), abs(north)), 85.0)
        native_m = pixel_size(self.level, farthest, self.entry.tile_px)
        return square_side(pixel_m, native_m, _SOURCE_PX, _PART_PX, least=1)

    def bytes_estimate(self, bounds: Bounds, crs: CRS | str) -> int:
        """Return the decoded bytes of the web tiles under bounds."""
        there = declared_range(self.entry, self.level)
        count = sum(
            (WebTileRange.covering(box, self.level) & there).count
            for box in mercator_boxes(bounds, CRS(crs))
        )
        return count * self.entry.tile_px**2 * _BANDS

    def requests(self, reads: Sequence[Read], crs: CRS | str) -> Requests:
        """Return how many web tiles reading takes, each counted once, and how many a day may be.

        Args:
            reads: Bounds, (minx, miny, maxx, maxy) in metres of `crs`, and shape of each read;
                they may overlap.
            crs: Projected CRS in metres.
        """
        manners, cache = self.entry.manners, self.entry.cache
        by_rate = math.floor(manners.per_second * 86400.0)
        held = max(cache.max_gb * 1e9, HELD_BYTES)
        return Requests(
            count=count_webtiles(list(self._ranges(reads, CRS(crs)))),
            per_day=min(by_rate, manners.per_day or by_rate),
            what=f"web tiles of level {self.level}",
            kept=math.floor(held / (self.entry.tile_px**2 * _FILE_BYTES_A_PIXEL)),
        )

    def _ranges(self, reads: Sequence[Read], crs: CRS) -> Iterator[WebTileRange]:
        level = self.level
        for _, alike in groupby(sorted(reads, key=_pixel), key=_pixel):
            group = list(alike)
            lattice, _ = Lattice.of(*group[0])
            pixel = float(lattice.pixel_m)
            side = _counted_side(group, self._part_side(group[0][0], pixel, crs))
            windows = []
            for bounds, shape in group:
                west, north = float(lattice.west), float(lattice.north)
                row, col = (north - bounds[3]) / pixel, (bounds[0] - west) / pixel
                window = PixelWindow(round(row), round(col), *shape)
                windows += [inside for _, inside in squares_of(window, side)]
            yield from ranges_under(self.entry, level, lattice, windows, crs)

    def identity(self) -> dict[str, Any]:
        """Return address, level and what counts as no imagery; the template whole, as a hash.

        What a server shows under an address may change; that is not known here.
        """
        entry = self.entry
        return {
            "url": redacted(entry.url),
            "content": content_digest(entry),
            "level": self.level,
            "tile_px": entry.tile_px,
            "bounds": None if entry.bounds is None else list(entry.bounds),
            "blank": entry.blank.model_dump(mode="json"),
        }

    def describe(self) -> str:
        """Return the level and the size of its pixels."""
        entry = self.entry
        _, south, _, north = self.area or entry.bounds or (0.0, 0.0, 0.0, 0.0)
        size = pixel_size(self.level, (south + north) / 2.0, entry.tile_px)
        return f"web tiles of level {self.level}, pixels of {size:.2g} m"


def _counted_side(reads: Sequence[Read], side: int) -> int:
    """Return the side of squares to count by: those that are read, or larger ones if too many.

    The box around a larger square holds some more web tiles, where the region ends or the map is
    turned against the tiles.
    """
    while sum(-(-rows // side) * -(-cols // side) for _, (rows, cols) in reads) > _MOST_COUNTED:
        side *= 2
    return side


def _holes(missing: Mapping[WebTile, str], where: str) -> tuple[Hole, ...]:
    """Return a hole for each reason, with the web tiles that it holds for."""
    found: dict[str, list[Pieces]] = {}
    for w, reason in missing.items():
        found.setdefault(reason, []).append((w.z, w.y, w.x, w.x + 1))
    return tuple(
        Hole(reason, where, len(found[reason]), joined_pieces(found[reason]))
        for reason in sorted(found)
    )


def _pixel(read: Read) -> float:
    bounds, shape = read
    return round((bounds[2] - bounds[0]) / shape[1], 6)
