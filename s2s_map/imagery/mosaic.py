"""Putting images of several CRSs, each read window by window, onto one lattice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from s2s_map.arrays import Hole, ImageBlock
from s2s_map.catalog.scene import Scene
from s2s_map.imagery.aligned import is_aligned, resample_aligned
from s2s_map.imagery.lattice import Bounds, Lattice, PixelWindow
from s2s_map.imagery.warped import scene_window, warp_onto

Pixels = tuple[NDArray[np.uint8], NDArray[np.bool_]]

_PART_PX = 2048
# Source pixels along the side of what is warped in one go, about; as many of the lattice at least.
_SOURCE_PX, _LEAST_PX = 4096, 16
# Source pixels around a window that a kernel may reach, at the pixel size of the source.
_REACH_PX = 4


class Zone(Protocol):
    """Imagery of one CRS that is 8 bit already and is read by windows of its own pixels."""

    def native_pixel(self, wanted_m: float) -> float:
        """Return the source pixel to read for pixels of a size in metres."""

    def scene(self, pixel_m: float) -> Scene:
        """Return all of it as one image."""

    def read(
        self, scene: Scene, rows: slice, cols: slice
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[Hole]]:
        """Read a window of that image."""


def read_zones(
    zones: Sequence[Zone], bounds: Bounds, shape: tuple[int, int], crs: CRS
) -> ImageBlock:
    """Read a rectangle from zones: those in the CRS wanted first, then in their order.

    Large rectangles are read in parts, on the lattice, so that memory stays bounded and a pixel
    gets the same value whichever rectangle it is read with.

    Args:
        zones: Where to read.
        bounds: (minx, miny, maxx, maxy) in metres of `crs`.
        shape: Pixels to return, rows and columns.
        crs: Projected CRS in metres.
    """
    lattice, window = Lattice.of(bounds, shape)
    pixels = np.zeros((3, *shape), dtype=np.uint8)
    valid = np.zeros(shape, dtype=np.bool_)
    holes: dict[Hole, None] = {}
    pixel = float(lattice.pixel_m)
    scenes = [(zone, zone.scene(zone.native_pixel(pixel))) for zone in zones]
    scenes.sort(key=lambda pair: not is_aligned(pair[1], crs))
    for part in _parts(window, _PART_PX):
        inside = part.slices_in(window)
        for zone, scene in scenes:
            known = valid[inside]
            if known.all():
                break
            values, seen, missing = _read_zone(zone, scene, lattice, part, crs)
            new = seen & ~known
            pixels[:, inside[0], inside[1]][:, new] = values[:, new]
            valid[inside] = known | new
            holes.update(dict.fromkeys(missing))
    return ImageBlock(pixels, valid, tuple(holes))


def _parts(window: PixelWindow, side: int) -> Iterator[PixelWindow]:
    first_row, first_col = window.top // side, window.left // side
    for row in range(first_row, -(-window.bottom // side)):
        for col in range(first_col, -(-window.right // side)):
            part = PixelWindow(row * side, col * side, side, side) & window
            if part is not None:
                yield part


def _read_zone(
    zone: Zone, scene: Scene, lattice: Lattice, window: PixelWindow, crs: CRS
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[Hole]]:
    holes: list[Hole] = []

    def fetch(rows: slice, cols: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        values, seen, missing = zone.read(scene, rows, cols)
        holes.extend(missing)
        return values.astype(np.float32), seen

    if is_aligned(scene, crs):
        pixels, valid = resample_aligned(scene, lattice, window, fetch, None)
        return pixels, valid, holes
    pixels = np.zeros((3, window.height, window.width), dtype=np.uint8)
    valid = np.zeros((window.height, window.width), dtype=np.bool_)
    covered = scene_window(scene, lattice, window, crs) & window
    for part in () if covered is None else _parts(covered, _side(scene, lattice)):
        needed = _needed(scene, lattice, part, crs)
        if needed is None:
            continue
        values, seen, missing = zone.read(scene, *needed)
        holes.extend(missing)
        if seen.any():
            inside = part.slices_in(window)
            pixels[:, *inside], valid[inside] = _warp(
                values, seen, scene, needed, lattice, part, crs
            )
    return pixels, valid, holes


def _side(scene: Scene, lattice: Lattice) -> int:
    """Return how many pixels of the lattice to warp along a side: many source pixels lie under."""
    ratio = max(float(lattice.pixel_m) / scene.gsd_m, 1.0)
    return max(_LEAST_PX, min(_PART_PX, 1 << math.floor(math.log2(_SOURCE_PX / ratio))))


def _needed(
    scene: Scene, lattice: Lattice, part: PixelWindow, crs: CRS
) -> tuple[slice, slice] | None:
    """Return the source pixels under a part of the lattice."""
    west, north = lattice.origin(part)
    pixel = float(lattice.pixel_m)
    bounds = (west, north - part.height * pixel, west + part.width * pixel, north)
    there = transform_bounds(crs.to_wkt(), scene.crs.to_wkt(), *bounds, densify_pts=101)
    if not all(map(math.isfinite, there)):
        return slice(0, scene.shape[0]), slice(0, scene.shape[1])
    t = scene.transform
    x_range, x_reach = _span((there[0] - t.c) / t.a, (there[2] - t.c) / t.a, part.width)
    y_range, y_reach = _span((there[3] - t.f) / t.e, (there[1] - t.f) / t.e, part.height)
    if there[0] > there[2]:
        # Degrees on both sides of the antimeridian.
        x_range, x_reach = (0, scene.shape[1]), 0
    top, bottom = max(y_range[0] - y_reach, 0), min(y_range[1] + y_reach, scene.shape[0])
    left, right = max(x_range[0] - x_reach, 0), min(x_range[1] + x_reach, scene.shape[1])
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def _span(low: float, high: float, wanted: int) -> tuple[tuple[int, int], int]:
    """Return a range of source pixels, and how far a kernel reaches beyond it."""
    reach = math.ceil(_REACH_PX * max(1.0, (high - low) / wanted))
    return (math.floor(low), math.ceil(high)), reach


def _warp(
    values: NDArray[np.uint8],
    seen: NDArray[np.bool_],
    scene: Scene,
    window: tuple[slice, slice],
    lattice: Lattice,
    target: PixelWindow,
    crs: CRS,
) -> Pixels:
    # The whole scene's geometry, so that GDAL's sums are the same whichever window is read; what is
    # not written takes no space.
    rows, cols = window
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 4,
        "height": scene.shape[0],
        "width": scene.shape[1],
        "crs": scene.crs.to_wkt(),
        "transform": scene.transform,
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "sparse_ok": True,
        "bigtiff": "if_safer",
        "photometric": "rgb",
        "alpha": "unspecified",
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.colorinterp = (
                ColorInterp.red,
                ColorInterp.green,
                ColorInterp.blue,
                ColorInterp.alpha,
            )
            place = Window(cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start)
            dataset.write(values, [1, 2, 3], window=place)
            dataset.write(np.where(seen, np.uint8(255), np.uint8(0)), 4, window=place)
        with memory.open() as source:
            return warp_onto(source, scene, lattice, target, crs, (1, 2, 3), None, None)
