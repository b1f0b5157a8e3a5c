"""The web tiles under a part of the lattice as one image of their CRS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS

from s2s_map.arrays import Hole
from s2s_map.catalog.scene import Scene
from s2s_map.config.webtiles import XyzEntry
from s2s_map.imagery.lattice import Bounds, Lattice, PixelWindow
from s2s_map.imagery.resampling import AVERAGE_FROM
from s2s_map.imagery.sources.xyz.levels import Level, within
from s2s_map.imagery.sources.xyz.webtile import WebTile, WebTileRange
from s2s_map.regions.extent import extent_of
from s2s_map.regions.projections import LONLAT, project

_RIM_PX = 16
_REACH_PX = 4.0
# Rounding, and what GDAL's interpolated coordinates are off.
_SLACK_PX = 1.5


@dataclass(frozen=True)
class WebTileZone:
    """An image of web tiles; see `imagery.mosaic.Zone`.

    Attributes:
        entry: The catalog entry.
        level: Level of the web tiles.
        left: Column of the image's west edge, in pixels of the level from that of its tiles.
        top: Row of its north edge, in pixels of the level.
        width: Columns.
        height: Rows.
        within: The web tiles that what is read now may need.
        missing: Why web tiles could not be had, filled while reading.
    """

    entry: XyzEntry
    level: Level
    left: int
    top: int
    width: int
    height: int
    within: tuple[WebTileRange, ...]
    missing: dict[WebTile, str] = field(default_factory=dict)

    def native_pixel(self, wanted_m: float) -> float:
        """Return the level's own pixel: coarser levels may be other imagery."""
        return self.level.pixel

    def scene(self, pixel_m: float) -> Scene:
        """Return the image."""
        west = self.left * pixel_m + self.level.left
        north = self.level.top - self.top * pixel_m
        return Scene(
            uri="",
            bounds=(west, north - self.height * pixel_m, west + self.width * pixel_m, north),
            crs=self.level.crs,
            shape=(self.height, self.width),
            transform=Affine(pixel_m, 0.0, west, 0.0, -pixel_m, north),
            band_count=3,
            dtype="uint8",
            valid="mask",
        )

    def read(
        self, scene: Scene, rows: slice, cols: slice
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[Hole]]:
        """Fetch the web tiles under a window and lay them side by side."""
        from s2s_map.imagery.sources.xyz.fetcher import fetcher_of

        side = self.entry.tile_px
        top, left = self.top + rows.start, self.left + cols.start
        shape = (rows.stop - rows.start, cols.stop - cols.start)
        rgba = np.zeros((4, *shape), dtype=np.uint8)
        wanted = self.level.there & WebTileRange(
            self.level.z,
            left // side,
            top // side,
            -(-(left + shape[1]) // side),
            -(-(top + shape[0]) // side),
        )
        needed = {w: None for within in self.within for w in (wanted & within).webtiles()}
        if needed:
            found = fetcher_of(self.entry).fetch(needed)
            for webtile, pixels in found.items():
                if isinstance(pixels, str):
                    self.missing[webtile] = pixels
                elif pixels is not None:
                    _paste(pixels, rgba, webtile.y * side - top, webtile.x * side - left)
        seen = rgba[3] >= 128
        return np.where(seen, rgba[:3], np.uint8(0)), seen, []


def zones_under(
    entry: XyzEntry,
    level: Level,
    lattice: Lattice,
    part: PixelWindow,
    inside: PixelWindow,
    crs: CRS,
) -> list[WebTileZone]:
    """Return the images under a part of the lattice: two where the antimeridian crosses it.

    Args:
        entry: The catalog entry.
        level: Level of the web tiles.
        lattice: The lattice.
        part: The part: the images lie in the same place whatever of it is read.
        inside: What of it is read now.
        crs: CRS of the lattice.
    """
    size = level.pixel
    within = tuple(ranges_under(entry, level, lattice, [inside], crs))
    zones = []
    ((boxes, _),) = boxes_under([lattice.bounds(part)], crs, level)
    for minx, miny, maxx, maxy in boxes:
        ratio = max((maxx - minx) / size / part.width, (maxy - miny) / size / part.height, 1.0)
        rim = math.ceil(_REACH_PX * ratio) + _RIM_PX
        left = math.floor((minx - level.left) / size) - rim
        right = math.ceil((maxx - level.left) / size) + rim
        top = math.floor((level.top - maxy) / size) - rim
        bottom = math.ceil((level.top - miny) / size) + rim
        zones.append(WebTileZone(entry, level, left, top, right - left, bottom - top, within))
    return zones


def ranges_under(
    entry: XyzEntry, level: Level, lattice: Lattice, windows: Sequence[PixelWindow], crs: CRS
) -> list[WebTileRange]:
    """Return the web tiles that windows of a lattice need, those that a kernel reaches included.

    Args:
        entry: The catalog entry.
        level: Level of the web tiles.
        lattice: The lattice.
        windows: Windows, each within one part.
        crs: CRS of the lattice.
    """
    size = level.pixel
    there = level.declared(entry.bounds)
    pixel = float(lattice.pixel_m)
    found = []
    for boxes, stretch in boxes_under([lattice.bounds(w) for w in windows], crs, level):
        ratio = pixel * stretch / size
        # A mean takes what lies under a pixel; the cubic kernel is two pixels, of the coarser
        # lattice, to each side of a pixel's centre.
        reach = size * (_SLACK_PX if ratio >= AVERAGE_FROM else 2.0 * max(ratio, 1.0) + _SLACK_PX)
        for w, s, e, n in boxes:
            box = level.covering((w - reach, s - reach, e + reach, n + reach)) & there
            if box.count:
                found.append(box)
    return found


def boxes_under(many: Sequence[Bounds], crs: CRS, level: Level) -> list[tuple[list[Bounds], float]]:
    """Return the boxes in a level's CRS that hold bounds, each with its units to a metre.

    Two where the antimeridian lies between, none beyond what either CRS can show.

    Args:
        many: Bounds in metres of `crs`.
        crs: Their CRS.
        level: The level.
    """
    if not (level.is_mercator or level.crs.geographic):
        return [_box_in(bounds, crs, level) for bounds in many]
    edges = np.asarray(many, dtype=np.float64).reshape(-1, 4)
    sides = np.maximum(edges[:, 2] - edges[:, 0], edges[:, 3] - edges[:, 1])
    # Over 5 km an arc leaves its chord by half a metre.
    pieces = np.clip(np.ceil(sides / 5_000.0), 4, 100).astype(int)
    found: list[tuple[list[Bounds], float]] = [([], 1.0)] * len(edges)
    to_lonlat = crs.transformer_to_crs(LONLAT, always_xy=True)
    for count in np.unique(pieces):
        chosen = np.flatnonzero(pieces == count)
        minx, miny, maxx, maxy = (column[:, None] for column in edges[chosen].T)
        along = np.linspace(0.0, 1.0, count + 1)[None, :]
        x, y = minx + (maxx - minx) * along, miny + (maxy - miny) * along
        x = np.concatenate([x, x, np.repeat(minx, count + 1, 1), np.repeat(maxx, count + 1, 1)], 1)
        y = np.concatenate([np.repeat(miny, count + 1, 1), np.repeat(maxy, count + 1, 1), y, y], 1)
        lon, lat = (
            np.asarray(values).reshape(x.shape) for values in to_lonlat(x.ravel(), y.ravel())
        )
        west, east, south, north = lon.min(1), lon.max(1), lat.min(1), lat.max(1)
        # Far from the poles and from the antimeridian there is one box.
        plain = np.isfinite(lon + lat).all(1) & (east - west < 90.0) & (east > west)
        plain &= (north > south) & (np.maximum(-south, north) < 80.0)
        for row, index in enumerate(chosen.tolist()):
            if not plain[row]:
                found[index] = _far_boxes(many[index], crs, level)
                continue
            box = (
                *level.xy(float(west[row]), float(south[row])),
                *level.xy(float(east[row]), float(north[row])),
            )
            corners = [
                level.xy(float(lon[row, k]), float(lat[row, k]))
                for k in (0, count, count + 1, 2 * count + 1)
            ]
            across = max(math.dist(*corners[:2]), math.dist(*corners[2:]))
            down = max(math.dist(corners[0], corners[2]), math.dist(corners[1], corners[3]))
            width, height = edges[index, 2] - edges[index, 0], edges[index, 3] - edges[index, 1]
            found[index] = [box], float(max(across / width, down / height))
    return found


def _box_in(bounds: Bounds, crs: CRS, level: Level) -> tuple[list[Bounds], float]:
    box = within(bounds, crs, level.crs)
    if box is None:
        return [], 1.0
    across = (box[2] - box[0]) / (bounds[2] - bounds[0])
    return [box], max(across, (box[3] - box[1]) / (bounds[3] - bounds[1]))


def _far_boxes(bounds: Bounds, crs: CRS, level: Level) -> tuple[list[Bounds], float]:
    lonlat = shapely.get_coordinates(project(shapely.box(*bounds), crs, LONLAT))
    lonlat = lonlat[np.isfinite(lonlat).all(axis=1)]
    if not len(lonlat):
        return [], 1.0
    extent = extent_of(lonlat)
    south, north = extent.south, extent.north
    if extent.width >= 360.0:
        # Around a pole, which is inside.
        south, north = (south, 90.0) if north > 0.0 else (-90.0, north)
    spans = [(extent.west, extent.east)]
    if extent.west > extent.east:
        spans = [(extent.west, 180.0), (-180.0, extent.east)]
    low, high = level.xy(0.0, south)[1], level.xy(0.0, north)[1]
    if high <= low:
        return [], 1.0
    boxes = [
        (level.xy(west, 0.0)[0], low, level.xy(east, 0.0)[0], high)
        for west, east in spans
        if east > west
    ]
    across = sum(east - west for west, _, east, _ in boxes) / (bounds[2] - bounds[0])
    return boxes, max(across, (high - low) / (bounds[3] - bounds[1]))


def _paste(pixels: NDArray[np.uint8], target: NDArray[np.uint8], top: int, left: int) -> None:
    height, width = target.shape[1:]
    side = pixels.shape[1]
    rows = slice(max(top, 0), min(top + side, height))
    cols = slice(max(left, 0), min(left + side, width))
    target[:, rows, cols] = pixels[
        :, rows.start - top : rows.stop - top, cols.start - left : cols.stop - left
    ]
