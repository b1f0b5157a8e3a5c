"""The scenes of one CRS, composited on their own pixels, window by window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError
from shapely.geometry.base import BaseGeometry

from s2s_map.arrays import Hole
from s2s_map.catalog.scene import Scene
from s2s_map.catalog.stac_items import Item
from s2s_map.config.stac import StacEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.sources.stac.composite import composite
from s2s_map.imagery.sources.stac.loading import SEEN, Load, load_scene, place_of
from s2s_map.imagery.sources.stac.reflectance import true_colour
from s2s_map.imagery.sources.stac.values import shown_levels
from s2s_map.redaction import redacted
from s2s_map.regions.projections import LONLAT, project

STRIP_BYTES = 256_000_000
"""Scenes of a place held at a time, uncompressed; composites of more are made in strips."""

_PIXEL_BYTES = 3 * 2 * 3 + 1  # Numbers, sorted, and where they are masked; classes.
_READERS = 8
_RIM_PX = 8


@dataclass(frozen=True)
class StacZone:
    """Scenes of one CRS.

    Attributes:
        entry: The catalog entry.
        crs: CRS of the scenes.
        items: The scenes, the least cloudy first.
        outlines: (minx, miny, maxx, maxy) of each, in metres of `crs`.
        anchor: (x, y) of a corner of their pixels, in metres of `crs`.
    """

    entry: StacEntry
    crs: CRS
    items: tuple[Item, ...]
    outlines: tuple[tuple[float, float, float, float], ...]
    anchor: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, entry: StacEntry, code: str, items: Sequence[Item]) -> StacZone:
        """Return the zone of scenes that share a CRS."""
        crs = CRS(code)
        outlines = tuple(_outline(item, crs, entry) for item in items)
        return cls(entry, crs, tuple(items), outlines, _anchor(items, entry))

    def scene(self, pixel_m: float) -> Scene:
        """Return all the zone as one image of square pixels, anchored to those of the scenes."""
        x, y = self.anchor
        west, south = (min(outline[axis] for outline in self.outlines) for axis in (0, 1))
        east, north = (max(outline[axis] for outline in self.outlines) for axis in (2, 3))
        # With a rim of nothing: GDAL does not count what lies beyond a raster as missing.
        left = math.floor((west - x) / pixel_m) - _RIM_PX
        right = math.ceil((east - x) / pixel_m) + _RIM_PX
        top = math.ceil((north - y) / pixel_m) + _RIM_PX
        bottom = math.floor((south - y) / pixel_m) - _RIM_PX
        west, north = x + left * pixel_m, y + top * pixel_m
        return Scene(
            uri="",
            bounds=(west, y + bottom * pixel_m, x + right * pixel_m, north),
            crs=self.crs,
            shape=(top - bottom, right - left),
            transform=Affine(pixel_m, 0.0, west, 0.0, -pixel_m, north),
            band_count=3,
            dtype="uint8",
            valid="mask",
        )

    def native_pixel(self, wanted_m: float) -> float:
        """Return the pixel to composite at: the bands' own, or doubled to half the wanted."""
        pixel = self.entry.pixel_m
        while pixel * 4.0 <= wanted_m:
            pixel *= 2.0
        return pixel

    def read(
        self, scene: Scene, rows: slice, cols: slice
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[Hole]]:
        """Composite a window of `scene` as 8-bit true colour.

        Returns:
            Pixels (3, rows, columns), the mask of what any scene saw, and scenes not read.
        """
        numbers, seen, holes = self.numbers(scene, rows, cols)
        scale = self.entry.scale
        if self.entry.known.values == "levels":
            colours = shown_levels(numbers, scale)  # type: ignore[arg-type]
        elif scale is not None:
            colours = true_colour(numbers, scale)
        return np.where(seen, colours, np.uint8(0)), seen, holes

    def numbers(
        self, scene: Scene, rows: slice, cols: slice
    ) -> tuple[NDArray[np.uint16], NDArray[np.bool_], list[Hole]]:
        """Composite a window of `scene`, strip by strip.

        Returns:
            10,000 times the reflectance, or levels plus 1, (3, rows, columns), the mask of what any
            scene saw, and scenes not read.
        """
        height, width = rows.stop - rows.start, cols.stop - cols.start
        pixels = np.zeros((3, height, width), dtype=np.uint16)
        seen = np.zeros((height, width), dtype=np.bool_)
        holes: dict[Hole, None] = {}
        there = self._touching(scene, rows, cols)
        if not there:
            return pixels, seen, []
        high = max(1, STRIP_BYTES // (_PIXEL_BYTES * width * len(there)))
        with ThreadPoolExecutor(min(_READERS, len(there)), "stac") as pool:
            for top in range(rows.start, rows.stop, high):
                strip = slice(top, min(top + high, rows.stop))
                box = _window(scene, strip, cols)
                loads = list(pool.map(self._load, there, [box] * len(there)))
                holes.update(dict.fromkeys(load for load in loads if isinstance(load, Hole)))
                part = slice(strip.start - rows.start, strip.stop - rows.start)
                good = [load for load in loads if not isinstance(load, Hole)]
                if not good:
                    continue
                pixels[:, part], seen[part] = composite(
                    np.stack([load[0] for load in good]),
                    np.stack([load[1] for load in good]),
                    self.entry.clear or (SEEN,),
                    self.entry.composite,
                )
        return pixels, seen, list(holes)

    def _touching(self, scene: Scene, rows: slice, cols: slice) -> list[Item]:
        west, south, east, north = _window(scene, rows, cols).boundingbox
        return [
            item
            for item, (x0, y0, x1, y1) in zip(self.items, self.outlines, strict=True)
            if x0 < east and x1 > west and y0 < north and y1 > south
        ]

    def _load(self, item: Item, box: GeoBox) -> Load | Hole:
        absent = [name for name in self.entry.assets.files if name not in item["assets"]]
        if absent:
            return Hole(f"no asset {', '.join(absent)}", f"{item['collection']}/{item['id']}")
        # A file that breaks while it is warped is no OSError; an item may lack what STAC asks for.
        faults = (OSError, ValueError, KeyError, ImageryError, RasterioError)
        try:
            return load_scene(item, box, self.entry, renew=False)
        except faults as error:
            failure: Exception = error
        if self.entry.token_url is not None:
            # The signature may have expired between fetching and reading.
            try:
                return load_scene(item, box, self.entry, renew=True)
            except faults as error:
                failure = error
        said = failure.found if isinstance(failure, ImageryError) else str(failure)
        reason = redacted(said).splitlines() or ["not readable"]
        return Hole(reason[0], f"{item['collection']}/{item['id']}")


def window_of(
    scene: Scene, bounds: tuple[float, float, float, float]
) -> tuple[slice, slice] | None:
    """Return the rows and columns of a north-up scene under bounds; None if there are none."""
    t = scene.transform
    left, right = math.floor((bounds[0] - t.c) / t.a), math.ceil((bounds[2] - t.c) / t.a)
    top, bottom = math.floor((bounds[3] - t.f) / t.e), math.ceil((bounds[1] - t.f) / t.e)
    rows = slice(max(top, 0), min(bottom, scene.shape[0]))
    cols = slice(max(left, 0), min(right, scene.shape[1]))
    return (rows, cols) if rows.start < rows.stop and cols.start < cols.stop else None


def _window(scene: Scene, rows: slice, cols: slice) -> GeoBox:
    t = scene.transform
    origin = Affine(t.a, 0.0, t.c + cols.start * t.a, 0.0, t.e, t.f + rows.start * t.e)
    return GeoBox((rows.stop - rows.start, cols.stop - cols.start), origin, scene.crs)


def box_of(item: Item) -> BaseGeometry:
    """Return the box around an item, in degrees.

    Raises:
        ImageryError: For an item that does not say where it lies.
    """
    corners = item.get("bbox")
    if not corners and item.get("geometry"):
        corners = shapely.geometry.shape(item["geometry"]).bounds
    if not corners:
        raise ImageryError(
            f"the STAC item {item['id']} does not say where it lies",
            expected="bbox or geometry",
            remedy="use another API or collection",
        )
    half = len(corners) // 2  # With heights there are six.
    box: BaseGeometry = shapely.box(*corners[:2], *corners[half : half + 2])
    return box


def _outline(item: Item, crs: CRS, entry: StacEntry) -> tuple[float, float, float, float]:
    place = place_of(item, entry)
    if place is not None:
        (rows, cols), t = place
        xs, ys = (t[2], t[2] + t[0] * cols), (t[5], t[5] + t[4] * rows)
        return min(xs), min(ys), max(xs), max(ys)
    outline = project(box_of(item), LONLAT, crs)
    west, south, east, north = outline.bounds
    return float(west), float(south), float(east), float(north)


def _anchor(items: Sequence[Item], entry: StacEntry) -> tuple[float, float]:
    """Return a corner of the pixels of scenes: of the first whose pixels make up the entry's.

    Those of Sentinel-2 lie on multiples of 10 m, those of Landsat half a pixel beside multiples of
    30 m.
    """
    for item in items:
        place = place_of(item, entry)
        if place is None:
            continue
        pixel, _, west, _, down, north, *_ = place[1]
        whole = max(1, round(entry.pixel_m / abs(pixel))) if pixel else 1
        if pixel == -down and math.isclose(pixel * whole, entry.pixel_m, rel_tol=1e-6):
            return west % entry.pixel_m, north % entry.pixel_m
    return 0.0, 0.0
