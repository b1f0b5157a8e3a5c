"""Reading a scene whose rows and columns are parallel to the lattice: no warping needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS

from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.config.scale import Scale
from s2s_map.imagery.chunks import read_native
from s2s_map.imagery.held import Holds, held
from s2s_map.imagery.lattice import Lattice, PixelWindow
from s2s_map.imagery.resampling import (
    SHARE_FROM,
    Taps,
    grow_into_invalid,
    weighted_columns,
    weighted_rows,
)
from s2s_map.imagery.scaling import to_8bit

PART_PX = 1024
"""Rows and columns of a source read at a time, about: 12 bytes a pixel, and as much at work."""

# Rows resampled at a time: bounds memory to a few megabytes beyond the result.
_ROWS = 128
_HALF = 0.5 - 1e-6
_WHOLE = 1.0 - 1e-4

Fetch = Callable[[slice, slice], tuple[NDArray[np.float32], NDArray[np.bool_]]]
"""Returns values (3, rows, columns) and the mask of observed pixels, for rows and columns."""


def is_aligned(scene: Scene, crs: CRS) -> bool:
    """Return whether a scene is north up in this CRS."""
    t = scene.transform
    return scene.crs == crs and t.b == 0.0 and t.d == 0.0 and t.a > 0.0 and t.e < 0.0


def read_aligned(
    scene: Scene, lattice: Lattice, window: PixelWindow, entry: RasterEntry
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read a window of the lattice from an aligned scene.

    Pixels below twice the source's are valid where the source pixel around their centre is; larger
    ones where at least half of their weight is.

    Returns:
        Pixels of shape (3, rows, columns) and their validity of shape (rows, columns).

    Raises:
        ImageryError: For a file that cannot be read.
    """

    def fetch(rows: slice, cols: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        return read_native(scene, rows, cols, entry)

    return resample_aligned(scene, lattice, window, fetch, entry.scale, held(scene, entry))


def resample_aligned(
    scene: Scene,
    lattice: Lattice,
    window: PixelWindow,
    fetch: Fetch,
    scale: Scale | None,
    holds: Holds | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Resample an aligned scene, of which `fetch` returns rows and columns, to 8 bit.

    Windows of many source pixels are read in parts: a pixel depends on its place alone. Of what
    `holds` says that nothing is there, nothing is read.
    """
    pixels = np.zeros((3, window.height, window.width), dtype=np.uint8)
    valid = np.zeros((window.height, window.width), dtype=np.bool_)
    for part in _held_parts(scene, lattice, window, holds):
        inside = part.slices_in(window)
        pixels[:, *inside], valid[inside] = _resample_part(scene, lattice, part, fetch, scale)
    return pixels, valid


def _held_parts(
    scene: Scene, lattice: Lattice, window: PixelWindow, holds: Holds | None
) -> Iterator[PixelWindow]:
    (down, top), (across, left) = lattice.source_rows(scene), lattice.source_columns(scene)
    if holds is None:
        yield from _parts(window, down, across)
        return
    # As far as kernels and the margins around them reach, or further.
    reach = math.ceil(8.0 * max(down, across, 1.0))
    first, last = window.top * down + top, window.bottom * down + top
    west, east = window.left * across + left, window.right * across + left
    rows = slice(max(math.floor(first) - reach, 0), max(math.ceil(last) + reach, 0))
    cols = slice(max(math.floor(west) - reach, 0), max(math.ceil(east) + reach, 0))
    if not holds(rows, cols):
        return
    if window.height * down > max(PART_PX, down) and last - first >= east - west:
        high = window.height // 2
        halves = [(window.top, window.left, high, window.width)]
        halves += [(window.top + high, window.left, window.height - high, window.width)]
    elif window.width * across > max(PART_PX, across):
        wide = window.width // 2
        halves = [(window.top, window.left, window.height, wide)]
        halves += [(window.top, window.left + wide, window.height, window.width - wide)]
    else:
        yield from _parts(window, down, across)
        return
    for half in halves:
        yield from _held_parts(scene, lattice, PixelWindow(*half), holds)


def _parts(window: PixelWindow, down: float, across: float) -> Iterator[PixelWindow]:
    """Yield parts of about equal size, each of `PART_PX` source pixels along a side at most.

    Args:
        window: What is parted.
        down: Source pixels to one of the lattice, along its columns.
        across: The same along its rows: pixels that are not square are parted to no squares.
    """
    count_y = -(-window.height // max(1, int(PART_PX / down)))
    count_x = -(-window.width // max(1, int(PART_PX / across)))
    high, wide = -(-window.height // count_y), -(-window.width // count_x)
    for top in range(window.top, window.bottom, high):
        for left in range(window.left, window.right, wide):
            height, width = min(high, window.bottom - top), min(wide, window.right - left)
            yield PixelWindow(top, left, height, width)


def _resample_part(
    scene: Scene, lattice: Lattice, window: PixelWindow, fetch: Fetch, scale: Scale | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    pixels = np.zeros((3, window.height, window.width), dtype=np.uint8)
    valid = np.zeros((window.height, window.width), dtype=np.bool_)
    y = Taps.along(window.top, window.height, *lattice.source_rows(scene))
    x = Taps.along(window.left, window.width, *lattice.source_columns(scene))
    margin = max(y.reach, x.reach)
    rows, cols = y.span(scene.shape[0], margin), x.span(scene.shape[1], margin)
    if rows is None or cols is None:
        return pixels, valid
    values, observed = fetch(rows, cols)
    if not observed.any():
        return pixels, valid
    ratio = max(lattice.source_rows(scene)[0], lattice.source_columns(scene)[0])
    resample = _shared if ratio >= SHARE_FROM else _interpolated
    parts = resample(values, observed, y, x, rows, cols, scale is None)
    for part, resampled, seen in parts:
        np.copyto(pixels[:, part], to_8bit(resampled, scale), where=seen)
        valid[part] = seen
    return pixels, valid


Parts = Iterator[tuple[slice, NDArray[np.float32], NDArray[np.bool_]]]


def _interpolated(
    values: NDArray[np.float32],
    observed: NDArray[np.bool_],
    y: Taps,
    x: Taps,
    rows: slice,
    cols: slice,
    is_8bit: bool,
) -> Parts:
    is_whole = bool(observed.all())
    if not is_whole:
        values = grow_into_invalid(values, observed, steps=max(y.reach, x.reach))
    across = weighted_columns(values, x, cols.start)
    if is_8bit:
        _round_to_8bit(across)
    inside_x = (x.nearest >= cols.start) & (x.nearest < cols.stop)
    near_x = np.clip(x.nearest - cols.start, 0, observed.shape[1] - 1)
    for part in _row_parts(len(y.nearest)):
        taps = y.part(part)
        inside_y = (taps.nearest >= rows.start) & (taps.nearest < rows.stop)
        near_y = np.clip(taps.nearest - rows.start, 0, observed.shape[0] - 1)
        seen = np.outer(inside_y, inside_x)
        if not is_whole:
            seen &= observed[np.ix_(near_y, near_x)]
        yield part, weighted_rows(across, taps, rows.start), seen


def _shared(
    values: NDArray[np.float32],
    observed: NDArray[np.bool_],
    y: Taps,
    x: Taps,
    rows: slice,
    cols: slice,
    is_8bit: bool,
) -> Parts:
    # Weights of source pixels beyond the scene are void: a mean over what there is.
    y, x = _within(y, rows), _within(x, cols)
    layers = np.zeros((4, *observed.shape), dtype=np.float32)
    np.copyto(layers[:3], values, where=observed)
    layers[3] = observed
    across = weighted_columns(layers, x, cols.start)
    if is_8bit:
        rounded = across[:3].copy()
        _round_to_8bit(rounded)
        np.copyto(across[:3], rounded, where=across[3] > _WHOLE)
    for part in _row_parts(len(y.nearest)):
        sums = weighted_rows(across, y.part(part), rows.start)
        seen = sums[3] >= _HALF
        share = np.where(seen, sums[3], np.float32(1.0)).astype(np.float32)
        yield part, sums[:3] / share, seen


def _round_to_8bit(values: NDArray[np.float32]) -> None:
    """Round as Pillow does between its passes: it prepared the images that models learn from."""
    np.rint(values, out=values)
    np.clip(values, 0.0, 255.0, out=values)


def _within(taps: Taps, span: slice) -> Taps:
    outside = (taps.index < span.start) | (taps.index >= span.stop)
    return Taps(taps.index, np.where(outside, np.float32(0.0), taps.weight), taps.nearest)


def _row_parts(count: int) -> Iterator[slice]:
    for start in range(0, count, _ROWS):
        yield slice(start, min(start + _ROWS, count))
