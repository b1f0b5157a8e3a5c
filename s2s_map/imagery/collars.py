"""Fill around a scene that nothing declares: pixels of 0 in all bands along its rim.

Level-1 scenes lie askew in their file, and what is beside them is 0 without a no data value.
"""

from __future__ import annotations

from contextlib import nullcontext
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.opening.handles import Version, lent_raster, version_of

LEAST_SHARE = 0.001
"""Of a file's pixels; less is not a collar."""

# Rows that are looked at, and how long a run of zeros at their ends must be, in pixels.
_ROWS, _RUN_PX = 48, 8
_SMALL_BYTES = 24_000_000

type _Key = tuple[str, Version, tuple[int, int, int]]

_shares: dict[_Key, float] = {}
_measuring: dict[_Key, Lock] = {}
_lock = Lock()


def collar_share(scene: Scene, entry: RasterEntry) -> float:
    """Return which share of a file without any mask is a collar of zeros, 0 to 1.

    48 rows are looked at, the first and the last among them, from both ends and only as far as
    they are 0, once by each process; the same file gives the same share in all of them.

    Args:
        scene: The file.
        entry: Its catalog entry: bands and nodata.

    Raises:
        ImageryError: For a file that cannot be read.
    """
    if scene.valid != "all":
        return 0.0
    key = (scene.uri, version_of(scene.uri), entry.bands)
    small = scene.shape[0] * scene.shape[1] * 3 * np.dtype(scene.dtype).itemsize <= _SMALL_BYTES
    with _lock:
        measuring = _measuring.setdefault(key, Lock())
    # Of a large file one thread looks and the others wait for what it finds. Of a small one each
    # looks, through the handle that it reads with next, which then holds the file.
    with nullcontext() if small else measuring:
        if key not in _shares:
            with lent_raster(scene.uri) as source:
                piece = source.width if small else min(source.block_shapes[0][1], source.width)
                _shares[key] = _measure(source, entry.bands, piece)
        return _shares[key]


def has_masked_collar(scene: Scene, entry: RasterEntry) -> bool:
    """Return whether zeros of a file count as no data, because they are its collar."""
    return entry.collar == "mask" and collar_share(scene, entry) >= LEAST_SHARE


def run_share(zero: NDArray[np.bool_]) -> float:
    """Return the share of rows' pixels in runs of zeros that begin at an end.

    Args:
        zero: Where pixels are 0 in all bands, shape (rows, columns).
    """
    width = zero.shape[1]
    left = np.where(zero.all(axis=1), width, (~zero).argmax(axis=1))
    right = np.where(zero.all(axis=1), 0, (~zero[:, ::-1]).argmax(axis=1))
    return _share(np.stack([left, right]), width)


def _share(runs: NDArray[np.int_], width: int) -> float:
    """Return the share of pixels in runs that are long enough, lengths (2, rows) in pixels."""
    return float(np.where(runs >= min(_RUN_PX, width), runs, 0).sum() / (runs.shape[1] * width))


def _measure(source: DatasetReader, bands: tuple[int, int, int], piece: int) -> float:
    if any(np.dtype(source.dtypes[band - 1]).kind not in "ui" for band in bands):
        # Of measured values 0 is one like others.
        return 0.0
    rows = np.unique(np.linspace(0, source.height - 1, _ROWS).round().astype(int))
    runs = [_runs(source, bands, int(row), piece) for row in rows]
    return _share(np.array(runs).T, source.width)


def _runs(
    source: DatasetReader, bands: tuple[int, int, int], row: int, piece: int
) -> tuple[int, int]:
    """Return how long a row is 0 from its left and from its right, (width, 0) if all of it is.

    It is read piece by piece, so many pixels at first: of a tiled file, which may lie on a server,
    two tiles are enough where there is no collar.
    """
    width = source.width

    def seen(start: int, stop: int) -> NDArray[np.bool_]:
        values = source.read(list(bands), window=Window(start, row, stop - start, 1))
        found: NDArray[np.bool_] = values.any(axis=0)[0]
        return found

    left, size = 0, piece
    while left < width:
        some = seen(left, min(left + size, width))
        if some.any():
            left += int(some.argmax())
            break
        left, size = left + len(some), size * 2
    if left >= width:
        return width, 0
    right, size = 0, piece
    while True:
        stop = width - right
        some = seen(max(left, stop - size), stop)[::-1]
        if some.any():
            return left, right + int(some.argmax())
        right, size = right + len(some), size * 2
