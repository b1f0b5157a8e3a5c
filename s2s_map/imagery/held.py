"""Which blocks of a sparse GeoTIFF are there at all: of a country of nothing, nothing is read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.opening.handles import lent_raster
from s2s_map.opening.uris import is_remote

Holds = Callable[[slice, slice], bool]
"""Returns whether anything is there in rows and columns of a scene."""

_TYPES = {3: "u2", 4: "u4", 16: "u8"}
_WIDTH, _HEIGHT, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 278, 322, 323
_STRIP_BYTES, _TILE_BYTES = 279, 325
_MOST_BLOCKS = 50_000_000


@dataclass(frozen=True, eq=False)
class HeldBlocks:
    """The blocks of a file that have bytes.

    Attributes:
        shape: Pixels of a block, rows and columns.
        before: How many there are above and left of a corner of blocks, (rows + 1, columns + 1).
    """

    shape: tuple[int, int]
    before: NDArray[np.int64]

    def __call__(self, rows: slice, cols: slice) -> bool:
        """Return whether anything is there in rows and columns."""
        (high, wide), last = self.shape, np.array(self.before.shape) - 1
        top, bottom = np.clip([rows.start // high, -(-rows.stop // high)], 0, last[0])
        left, right = np.clip([cols.start // wide, -(-cols.stop // wide)], 0, last[1])
        table = self.before
        return bool(
            table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        )


def held(scene: Scene, entry: RasterEntry) -> Holds | None:
    """Return what tells where a scene holds anything.

    Args:
        scene: The scene.
        entry: Its catalog entry.

    Returns:
        None where a block that is not there may count as seen, and for files that are whole or no
        local GeoTIFF.
    """
    if scene.valid != "nodata" or is_remote(scene.uri):
        return None
    with lent_raster(scene.uri) as source:
        stated = source.nodata
        plain = source.driver == "GTiff"
    filled = 0.0 if stated is None else stated
    void = stated if entry.nodata is None else entry.nodata
    if not plain or void != filled:
        return None
    when = Path(scene.uri).stat()
    return _held_blocks(scene.uri, when.st_size, when.st_mtime_ns)


@lru_cache(maxsize=256)
def _held_blocks(path: str, _size: int, _changed: int) -> HeldBlocks | None:
    try:
        return _read(Path(path))
    except (OSError, ValueError, KeyError, struct.error):
        return None


def _read(path: Path) -> HeldBlocks | None:
    """Read the sizes of blocks out of a TIFF's first directory; see TIFF 6.0 and BigTIFF."""
    with path.open("rb") as stream:
        start = stream.read(16)
        order = "<" if start[:2] == b"II" else ">"
        big = struct.unpack(f"{order}H", start[2:4])[0] == 43
        offset = struct.unpack(f"{order}Q", start[8:16])[0] if big else 0
        if not big:
            offset = struct.unpack(f"{order}I", start[4:8])[0]
        stream.seek(offset)
        count = struct.unpack(f"{order}{'Q' if big else 'H'}", stream.read(8 if big else 2))[0]
        size, inline = (20, 8) if big else (12, 4)
        if count > 1000:
            return None
        table = stream.read(size * count)

        def values(tag: int) -> NDArray[np.int64]:
            for at in range(0, len(table), size):
                found, kind = struct.unpack_from(f"{order}HH", table, at)
                if found == tag:
                    many = struct.unpack_from(f"{order}{'Q' if big else 'I'}", table, at + 4)[0]
                    if many > _MOST_BLOCKS:
                        raise ValueError("too many blocks")
                    dtype = np.dtype(f"{order}{_TYPES[kind]}")
                    raw = table[at + size - inline : at + size]
                    if many * dtype.itemsize > inline:
                        stream.seek(struct.unpack(f"{order}{'Q' if big else 'I'}", raw)[0])
                        raw = stream.read(many * dtype.itemsize)
                    return np.frombuffer(raw, dtype, many).astype(np.int64)
            raise KeyError(tag)

        def value(tag: int, otherwise: int | None = None) -> int:
            try:
                return int(values(tag)[0])
            except KeyError:
                if otherwise is None:
                    raise
                return otherwise

        width, height = value(_WIDTH), value(_HEIGHT)
        wide = value(_TILE_WIDTH, 0)
        high = value(_TILE_HEIGHT) if wide else min(value(_ROWS_PER_STRIP, height), height)
        sizes = values(_TILE_BYTES if wide else _STRIP_BYTES)
        wide = wide or width
    there = (sizes > 0).reshape(-1, -(-height // high), -(-width // wide)).any(axis=0)
    if there.all():
        return None
    before = np.zeros((there.shape[0] + 1, there.shape[1] + 1), dtype=np.int64)
    np.cumsum(np.cumsum(there, axis=0), axis=1, out=before[1:, 1:])
    return HeldBlocks((high, wide), before)
