"""Resampling a scene of another CRS, or one that is not north up: GDAL's warper."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import DTypeLike, NDArray
from odc.geo.crs import CRS
from rasterio import band
from rasterio.enums import Resampling
from rasterio.io import DatasetWriter
from rasterio.transform import from_origin
from rasterio.warp import reproject, transform_bounds

from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.config.scale import Scale
from s2s_map.imagery.aligned import Fetch
from s2s_map.imagery.chunks import read_native
from s2s_map.imagery.held import Holds, held
from s2s_map.imagery.lattice import Bounds, Lattice, PixelWindow, square_side, squares_of
from s2s_map.imagery.resampling import AVERAGE_FROM
from s2s_map.imagery.scaling import to_8bit
from s2s_map.imagery.source_windows import (
    SourceWindow,
    scale_at,
    union,
    window_transform,
    windows_under,
)

_OPAQUE = 128
# Wider scenes may reach around what another CRS can show.
_WIDE_DEG = 60.0
# Pixels are not square where one side is so many times the other; in degrees most are so by less.
_LONG = 4.0
# Largest error of GDAL's interpolated coordinates, in source pixels.
_TOLERANCE_PX = 0.01
# Rows and columns of the lattice warped in one go. GDAL interpolates coordinates along the columns,
# and the kernel is as wide as fits the middle: always the same ones give a pixel the same value in
# every window.
_TILE_PX = (512, 256)
# Pixels of the lattice, and of the source under them, along a side of what is read in one go.
_PART_PX, _SOURCE_PX = 1024, 2048


def read_warped(
    scene: Scene, lattice: Lattice, window: PixelWindow, crs: CRS, entry: RasterEntry
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read a window of the lattice from a scene by warping it.

    Returns:
        Pixels of shape (3, rows, columns) and their validity of shape (rows, columns).

    Raises:
        ImageryError: For a file that cannot be read.
    """

    def fetch(rows: slice, cols: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        return read_native(scene, rows, cols, entry)

    return resample_warped(scene, lattice, window, crs, fetch, entry.scale, held(scene, entry))


def resample_warped(
    scene: Scene,
    lattice: Lattice,
    window: PixelWindow,
    crs: CRS,
    fetch: Fetch,
    scale: Scale | None,
    holds: Holds | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Warp a scene, of which `fetch` returns rows and columns, to 8 bit.

    Pixels are cubic, antialiased, or means from `AVERAGE_FROM` source pixels on. They are valid
    where the source pixel around their centre is, and, where pixels are missing nearby, where at
    least half of the weight is of pixels that are there. Of what `holds` says that nothing is
    there, nothing is read.
    """
    pixels = np.zeros((3, window.height, window.width), dtype=np.uint8)
    valid = np.zeros((window.height, window.width), dtype=np.bool_)
    covered = scene_window(scene, lattice, window, crs) & window
    side = square_side(float(lattice.pixel_m), _read_pixel(scene), _SOURCE_PX, _PART_PX)
    for _, part in () if covered is None else squares_of(covered, side):
        strips = [
            _Strip(tile, strip, needed)
            for tile, strip in _strips(part, side)
            for needed in windows_under(scene, lattice, strip, crs)
            if holds is None or holds(*needed)
        ]
        for group in _fetched_together(strips):
            rows, cols = union([strip.needed for strip in group])
            values, seen = fetch(rows, cols)
            if not seen.any():
                continue
            for strip in group:
                down, across = strip.needed
                here = (
                    slice(down.start - rows.start, down.stop - rows.start),
                    slice(across.start - cols.start, across.stop - cols.start),
                )
                warped, good = _warp(values[:, *here], seen[here], scene, strip, lattice, crs)
                inside = strip.window & part
                if inside is not None and good.any():
                    cut, place = inside.slices_in(strip.window), inside.slices_in(window)
                    scaled, new = to_8bit(warped[:, *cut], scale), good[cut] & ~valid[place]
                    np.copyto(pixels[:, *place], scaled, where=new)
                    valid[place] |= new
    return pixels, valid


def scene_window(scene: Scene, lattice: Lattice, window: PixelWindow, crs: CRS) -> PixelWindow:
    """Return the lattice pixels that a scene covers, whichever window is read.

    For a scene that reaches beyond what the CRS can show, or is so wide that its edges in another
    CRS do not hold it, such as a mosaic of the whole Earth, these are the window's own.
    """
    bounds = scene.bounds if scene.crs == crs else _bounds_in(scene.bounds, scene.crs, crs)
    if not all(math.isfinite(edge) for edge in bounds):
        return window
    return lattice.cover(bounds)


def _read_pixel(scene: Scene) -> float:
    """Side of a pixel by which reads are bounded: of a square of its area, where it is none."""
    longest, shortest = max(scene.res), min(scene.res)
    return scene.gsd_m * (math.sqrt(shortest / longest) if longest > _LONG * shortest else 1.0)


@lru_cache(maxsize=4096)
def _bounds_in(bounds: Bounds, crs: CRS, other: CRS) -> Bounds:
    west, south, east, north = transform_bounds(crs.to_wkt(), "EPSG:4326", *bounds, densify_pts=101)
    width = east - west if east >= west else east - west + 360.0
    if not width < _WIDE_DEG:
        return -math.inf, -math.inf, math.inf, math.inf
    west, south, east, north = transform_bounds(
        crs.to_wkt(), other.to_wkt(), *bounds, densify_pts=101
    )
    return west, south, east, north


@dataclass(frozen=True)
class _Strip:
    """What is warped in one go.

    Attributes:
        tile: The tile of the lattice that it belongs to.
        window: All columns of it, and the rows that are read.
        needed: What of the scene lies under these.
    """

    tile: PixelWindow
    window: PixelWindow
    needed: SourceWindow


def _strips(part: PixelWindow, side: int) -> Iterator[tuple[PixelWindow, PixelWindow]]:
    """Yield the tiles that a part touches, each with all its columns and the part's rows of it."""
    high, wide = (min(side, most) for most in _TILE_PX)
    for row in range(part.top // high, -(-part.bottom // high)):
        top, bottom = max(part.top, row * high), min(part.bottom, (row + 1) * high)
        for left in range(part.left // wide * wide, part.right, wide):
            tile = PixelWindow(row * high, left, high, wide)
            yield tile, PixelWindow(top, left, bottom - top, wide)


def _fetched_together(strips: list[_Strip]) -> list[list[_Strip]]:
    """Return all strips of a part as one group, or each alone where they lie far apart."""
    if not strips:
        return []

    def area(window: SourceWindow) -> int:
        high, wide = (int(one.stop - one.start) for one in window)
        return high * wide

    windows = [strip.needed for strip in strips]
    if area(union(windows)) > 4 * sum(map(area, windows)):
        return [[strip] for strip in strips]
    return [strips]


def _warp(
    values: NDArray[np.float32],
    seen: NDArray[np.bool_],
    scene: Scene,
    strip: _Strip,
    lattice: Lattice,
    crs: CRS,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the values of a strip and which of them are valid."""
    average = lattice.pixel_m >= AVERAGE_FROM * scene.gsd_m
    is_whole = bool(seen.all())
    # GDAL has faster ways for whole numbers of one byte.
    dtype = np.uint8 if scene.dtype == "uint8" else np.float32
    bands = np.zeros((4, *seen.shape), dtype=dtype)
    np.copyto(bands[:3], values, where=seen, casting="unsafe")
    np.copyto(bands[3], 255, where=seen)
    down, across = scale_at(scene, lattice, strip.tile, crs)
    pixel = float(lattice.pixel_m)
    settings: dict[str, Any] = {
        "tolerance": _TOLERANCE_PX,
        # The same kernel in every window, not one reckoned from its shape.
        "XSCALE": min(1.0, 1.0 / across),
        "YSCALE": min(1.0, 1.0 / down),
    }
    kernel = Resampling.average if average else Resampling.cubic
    to = from_origin(*lattice.origin(strip.window), pixel, pixel)
    with (
        _in_memory(bands.shape, dtype, scene.crs, window_transform(scene, strip.needed)) as source,
        _in_memory((4, strip.window.height, strip.window.width), dtype, crs, to) as target,
    ):
        source.write(bands)
        if is_whole:
            colours = [1, 2, 3]
            reproject(band(source, colours), band(target, colours), resampling=kernel, **settings)
        else:
            masked = {"src_alpha": 4, "dst_alpha": 4}
            every = [1, 2, 3, 4]
            reproject(
                band(source, every), band(target, every), resampling=kernel, **masked, **settings
            )
        if is_whole or average:
            # GDAL's mean of alpha leaves out what lies beyond a scene, so that pixels which barely
            # touch it would count.
            reproject(band(source, 4), band(target, 4), resampling=Resampling.nearest, **settings)
        found = target.read().astype(np.float32)
    good = (found[3] >= _OPAQUE) & np.isfinite(found[:3]).all(axis=0)
    return found[:3], good


def _in_memory(
    shape: tuple[int, ...], dtype: DTypeLike, crs: CRS, transform: Affine
) -> DatasetWriter:
    # Not arrays: rasterio then catches warnings, which is not for threads.
    return rasterio.open(
        "",
        "w+",
        driver="MEM",
        count=shape[0],
        height=shape[1],
        width=shape[2],
        dtype=dtype,
        crs=crs.to_wkt(),
        transform=transform,
    )
