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
from s2s_map.imagery.sources.xyz.levels import choose_level, level_of
from s2s_map.imagery.sources.xyz.webtile import WebTile, WebTileRange, count_webtiles
from s2s_map.imagery.sources.xyz.zone import boxes_under, ranges_under, zones_under
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
# Pixels that differ less in size are those of one sensor; a level has half the pixel of the next.
_SAME_GSD, _NEXT_LEVEL = 1.2, 2.0


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

    @classmethod
    def open(cls, entry: XyzEntry) -> XyzSource:
        """Return the source of an entry, with what the capabilities say that it may name.

        Raises:
            ImageryError: If they cannot be had, or have no such layer.
        """
        if entry.capabilities is None:
            return cls(entry)
        from s2s_map.imagery.sources.xyz.wmts import with_capabilities

        return cls(with_capabilities(entry))

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
        return choose_level(entry, south, north)

    def pixel_m(self, latitude: float) -> float:
        """Return the size of a pixel on the ground at a latitude, metres."""
        return level_of(self.entry, self.level).ground_m(latitude)

    def over(self, area: LonLatBounds) -> XyzSource:
        """Return the source with the level for an area."""
        return XyzSource(self.entry, area)

    def _read(self, bounds: Bounds, shape: tuple[int, int], crs: CRS) -> ImageBlock:
        level = level_of(self.entry, self.level)
        lattice, window = Lattice.of(bounds, shape)
        pixels = np.zeros((3, *shape), dtype=np.uint8)
        valid = np.zeros(shape, dtype=np.bool_)
        missing: dict[WebTile, str] = {}
        pixel = float(lattice.pixel_m)
        for square, inside in squares_of(window, self._part_side(bounds, pixel, crs)):
            zones = zones_under(self.entry, level, lattice, square, inside, crs)
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
        farthest, level = 0.0, level_of(self.entry, self.level)
        if crs != level.crs:
            # Pixels of the level are finest where the area reaches farthest from the equator; it
            # must be the same side for all blocks.
            _, south, _, north = self.area or self.entry.bounds or (0.0, -60.0, 0.0, 60.0)
            farthest = min(max(abs(south), abs(north)), 85.0)
        native_m = level.least_m(farthest)
        return square_side(pixel_m, native_m, _SOURCE_PX, _PART_PX, least=1)

    def bytes_estimate(self, bounds: Bounds, crs: CRS | str) -> int:
        """Return the decoded bytes of the web tiles under bounds."""
        level = level_of(self.entry, self.level)
        there = level.declared(self.entry.bounds)
        ((boxes, _),) = boxes_under([bounds], CRS(crs), level)
        count = sum((level.covering(box) & there).count for box in boxes)
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
            what=f"web tiles of {self._named_level}",
            kept=math.floor(held / (self.entry.tile_px**2 * _FILE_BYTES_A_PIXEL)),
        )

    def _ranges(self, reads: Sequence[Read], crs: CRS) -> Iterator[WebTileRange]:
        level = level_of(self.entry, self.level)
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
            **({} if entry.grid is None else {"layer": entry.grid.layer, "crs": entry.grid.crs}),
        }

    def pixel_warnings(self, area: LonLatBounds) -> tuple[str, ...]:
        """Return what the level's pixels are, where `sensor:` says something else."""
        wanted, level = self.entry.sensor.gsd_m, self.level
        _, south, _, north = area
        nearest = 0.0 if south <= 0.0 <= north else min(abs(south), abs(north))
        found = self.pixel_m(nearest)
        # Levels are a factor of two apart: what choosing one leaves is no mistake.
        if wanted / _NEXT_LEVEL <= found <= wanted * _SAME_GSD:
            return ()
        return (
            f"web tiles of level {level} have {found:.3g} m a pixel here, but the entry's sensor "
            f"says {wanted:g} m: correct sensor: or zoom:, min_zoom: and max_zoom:",
        )

    def describe(self) -> str:
        """Return the level and the size of its pixels."""
        entry = self.entry
        _, south, _, north = self.area or entry.bounds or (0.0, 0.0, 0.0, 0.0)
        size = self.pixel_m((south + north) / 2.0)
        return f"web tiles of {self._named_level}, pixels of {size:.2g} m"

    @property
    def _named_level(self) -> str:
        grid, level = self.entry.grid, self.level
        if grid is None:
            return f"level {level}"
        return f"layer {grid.layer}, matrix set {grid.matrix_set}, level {grid.levels[level].id}"


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
