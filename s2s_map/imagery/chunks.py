"""Raster files chunk by chunk as they are stored: decoded once, kept for the blocks beside.

Blocks overlap by their halo, and chunks by blocks: read block by block, a chunk of a COG was
fetched and decoded up to four times (benchmarks/imagery.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.imagery.collars import has_masked_collar
from s2s_map.opening.handles import Version, lent_raster, version_of

KEPT_BYTES = 128_000_000
"""Chunks kept by this process, decoded."""

# Strips are put together to chunks of about this height and size.
_ROWS, _BYTES = 256, 16_000_000

Place = tuple[int, int]
Key = tuple[str, Version, tuple[int, int, int], float | None, Place]


@dataclass(frozen=True, eq=False)
class Chunk:
    """A part of a file.

    Attributes:
        values: Red, green and blue as stored, shape (3, rows, columns).
        observed: Where they are data, shape (rows, columns); None for everywhere.
    """

    values: NDArray[np.generic]
    observed: NDArray[np.bool_] | None

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.values.nbytes + (0 if self.observed is None else self.observed.nbytes)


@dataclass(eq=False)
class ChunkCache:
    """Chunks lately used, shared by all threads; each is loaded by one of them.

    Attributes:
        limit: Bytes to keep at most.
    """

    limit: int
    _kept: OrderedDict[Key, Chunk] = field(default_factory=OrderedDict)
    _loading: dict[Key, Future[Chunk]] = field(default_factory=dict)
    _bytes: int = 0
    _lock: Lock = field(default_factory=Lock)

    def get(
        self, keys: Sequence[Key], load: Callable[[list[Place]], dict[Place, Chunk]]
    ) -> dict[Place, Chunk]:
        """Return chunks by place, from `load` those that no thread has or is loading."""
        found: dict[Place, Chunk] = {}
        others: dict[Place, Future[Chunk]] = {}
        mine: dict[Place, Future[Chunk]] = {}
        with self._lock:
            for key in keys:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    found[key[-1]] = self._kept[key]
                elif key in self._loading:
                    others[key[-1]] = self._loading[key]
                else:
                    mine[key[-1]] = self._loading[key] = Future()
        if mine:
            found |= self._load([key for key in keys if key[-1] in mine], mine, load)
        return found | {place: future.result() for place, future in others.items()}

    def _load(
        self,
        keys: list[Key],
        futures: dict[Place, Future[Chunk]],
        load: Callable[[list[Place]], dict[Place, Chunk]],
    ) -> dict[Place, Chunk]:
        try:
            loaded = load(list(futures))
        except BaseException as error:
            with self._lock:
                for key in keys:
                    del self._loading[key]
            for future in futures.values():
                future.set_exception(error)
            raise
        with self._lock:
            for key in keys:
                del self._loading[key]
                self._kept[key] = loaded[key[-1]]
                self._bytes += loaded[key[-1]].nbytes
            while self._bytes > self.limit:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        for place, future in futures.items():
            future.set_result(loaded[place])
        return loaded


_cache = ChunkCache(KEPT_BYTES)
_shapes: dict[tuple[str, Version], Place] = {}


def read_native(
    scene: Scene, rows: slice, cols: slice, entry: RasterEntry
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a window of a file.

    Args:
        scene: The file.
        rows: Rows within it.
        cols: Columns within it.
        entry: Its catalog entry: bands and nodata.

    Returns:
        Values (3, rows, columns) and the mask of observed pixels (rows, columns).

    Raises:
        ImageryError: For a file that has gone, or breaks while it is read.
    """
    version = version_of(scene.uri)
    high, wide = _chunk_shape(scene, version)
    places = [
        (row, col)
        for row in range(rows.start // high, -(-rows.stop // high))
        for col in range(cols.start // wide, -(-cols.stop // wide))
    ]

    # Before a file is lent: it may have to be looked at.
    nodata = void_of(scene, entry)

    def load(missing: list[Place]) -> dict[Place, Chunk]:
        with lent_raster(scene.uri) as source:
            return _load(source, missing, (high, wide), entry.bands, nodata)

    keys = [(scene.uri, version, entry.bands, nodata, place) for place in places]
    chunks = _cache.get(keys, load)
    shape = (rows.stop - rows.start, cols.stop - cols.start)
    values = np.empty((3, *shape), dtype=np.float32)
    observed = np.empty(shape, dtype=np.bool_)
    for (row, col), chunk in chunks.items():
        there, here = _overlap(row * high, chunk.values.shape[1], rows)
        across, along = _overlap(col * wide, chunk.values.shape[2], cols)
        values[:, here, along] = chunk.values[:, there, across]
        observed[here, along] = True if chunk.observed is None else chunk.observed[there, across]
    return values, observed


def _overlap(start: int, size: int, wanted: slice) -> tuple[slice, slice]:
    """Return what of a chunk is wanted, and where it belongs."""
    low, high = max(start, wanted.start), min(start + size, wanted.stop)
    return slice(low - start, high - start), slice(low - wanted.start, high - wanted.start)


def _chunk_shape(scene: Scene, version: Version) -> Place:
    key = (scene.uri, version)
    if key not in _shapes:
        with lent_raster(scene.uri) as source:
            high, wide = source.block_shapes[0]
        row_bytes = max(1, high * wide * 3 * np.dtype(scene.dtype).itemsize)
        _shapes[key] = high * max(1, min(_ROWS // high, _BYTES // row_bytes)), wide
    return _shapes[key]


def _load(
    source: DatasetReader,
    missing: list[Place],
    shape: Place,
    bands: tuple[int, int, int],
    nodata: float | None,
) -> dict[Place, Chunk]:
    high, wide = shape
    loaded: dict[Place, Chunk] = {}
    for rows, cols in _rectangles(missing):
        # In one go: over the network, GDAL fetches its ranges together.
        top, left = rows.start * high, cols.start * wide
        height = min(rows.stop * high, source.height) - top
        width = min(cols.stop * wide, source.width) - left
        window = Window(left, top, width, height)
        values, observed = read_values(source, window, bands, nodata)
        for row in range(rows.start, rows.stop):
            for col in range(cols.start, cols.stop):
                y, x = row * high - top, col * wide - left
                part = np.s_[y : y + high, x : x + wide]
                loaded[row, col] = Chunk(
                    np.ascontiguousarray(values[:, *part]),
                    None if observed is None or observed[part].all() else observed[part].copy(),
                )
    return loaded


def _rectangles(places: list[Place]) -> Iterator[tuple[slice, slice]]:
    """Yield rectangles that together are the places: runs along rows, equal ones as one."""
    runs: list[tuple[int, int, int]] = []
    for row, col in sorted(places):
        if runs and runs[-1][0] == row and runs[-1][2] == col:
            runs[-1] = (row, runs[-1][1], col + 1)
        else:
            runs.append((row, col, col + 1))
    pending: dict[tuple[int, int], slice] = {}
    for row, first, stop in runs:
        above = pending.get((first, stop))
        if above is not None and above.stop == row:
            pending[first, stop] = slice(above.start, row + 1)
            continue
        if above is not None:
            yield above, slice(first, stop)
        pending[first, stop] = slice(row, row + 1)
    for (first, stop), rows in pending.items():
        yield rows, slice(first, stop)


def void_of(scene: Scene, entry: RasterEntry) -> float | None:
    """Return the value of pixels without data that the file itself does not declare.

    The entry's, or 0 for a file with a collar of zeros.
    """
    if entry.nodata is None and has_masked_collar(scene, entry):
        return 0.0
    return entry.nodata


def read_values(
    source: DatasetReader,
    window: Window,
    bands: tuple[int, int, int],
    nodata: float | None,
    shape: Place | None = None,
) -> tuple[NDArray[np.generic], NDArray[np.bool_] | None]:
    """Read a window of an open file.

    Args:
        source: The file.
        window: The window.
        bands: Bands of red, green and blue, counted from 1.
        nodata: Value of pixels without data; what the file says if None.
        shape: Rows and columns to return, the nearest pixels; all if None.

    Returns:
        Values (3, rows, columns), and where they are data; None for everywhere.
    """
    # Where all is read, rasterio goes by overviews only without a window.
    whole = (window.width, window.height) == (source.width, source.height)
    how: dict[str, Any] = {} if whole else {"window": window}
    how |= {} if shape is None else {"out_shape": shape}
    many = {**how, **({} if shape is None else {"out_shape": (3, *shape)})}
    values = source.read(list(bands), **many)
    nodata = nodata if nodata is not None else source.nodata
    observed: NDArray[np.bool_] | None = None
    if nodata is not None:
        # A pixel is void where all bands are: a black band of dark water is not.
        void = np.isnan(values) if np.isnan(nodata) else values == nodata
        observed = ~void.all(axis=0)
    elif ColorInterp.alpha in source.colorinterp:
        alpha = 1 + source.colorinterp.index(ColorInterp.alpha)
        kind = np.dtype(source.dtypes[alpha - 1])
        opaque = np.iinfo(kind).max if kind.kind in "ui" else 1
        observed = source.read(alpha, **how) > opaque / 2
    elif MaskFlags.all_valid not in source.mask_flag_enums[bands[0] - 1]:
        observed = source.read_masks(bands[0], **how) > 0
    if values.dtype.kind == "f":
        finite = np.isfinite(values).all(axis=0)
        observed = finite if observed is None else observed & finite
    return values, observed
