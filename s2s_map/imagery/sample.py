"""Some pixels of a source, as stored: enough for its colours, few enough to take no time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.chunks import read_values, void_of
from s2s_map.imagery.collars import collar_share, run_share
from s2s_map.opening.handles import lent_raster

MOST_PIXELS = 400_000
"""Pixels of a sample, of all scenes together, about."""

_MOST_SCENES = 48
# Of a file without overviews: what is decoded of it at most, and in how many places.
_MOST_BYTES, _PLACES = 24_000_000, 49


@dataclass(frozen=True, eq=False)
class Sample:
    """Pixels of a source.

    Attributes:
        values: Red, green, blue of observed pixels as stored, before `scale:`, float32 (3, n).
        collar: Share of pixels in collars of zeros without a mask, 0 to 1.
        white: Share of pixels in collars of 255.
        masked: Whether those zeros count as no data.
    """

    values: NDArray[np.float32]
    collar: float = 0.0
    white: float = 0.0
    masked: bool = False

    @property
    def count(self) -> int:
        """Pixels."""
        return int(self.values.shape[1])


def sample_files(scenes: Sequence[Scene], entry: RasterEntry) -> Sample:
    """Return pixels spread over all files, or over 48 of them: always the same ones.

    Of files with overviews the nearest pixels of one, of others whole chunks here and there.

    Args:
        scenes: The files.
        entry: Their catalog entry: bands, nodata.

    Raises:
        ImageryError: For a file that cannot be read, where the entry says `on_missing: fail`.
    """
    some = scenes[:: math.ceil(len(scenes) / _MOST_SCENES)]
    total = sum(scene.shape[0] * scene.shape[1] for scene in some)
    found = [np.zeros((3, 0), np.float32)]
    collar = white = 0.0
    for scene in some:
        weight = scene.shape[0] * scene.shape[1] / total
        try:
            flat, rims = _pixels(scene, entry, max(1_000, round(MOST_PIXELS * weight)))
        except ImageryError:
            if entry.on_missing == "fail":
                raise
            continue
        found.append(flat)
        collar, white = collar + weight * rims[0], white + weight * rims[1]
    every = np.concatenate(found, axis=1)
    return Sample(thinned(every), collar, white, collar > 0.0 and entry.collar == "mask")


def _pixels(
    scene: Scene, entry: RasterEntry, budget: int
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Return observed pixels of a file, (3, n), and its shares of collars of 0 and of 255."""
    # Before the file is lent: it may have to be looked at.
    share, nodata = collar_share(scene, entry), void_of(scene, entry)
    found, white = [], 0.0
    with lent_raster(scene.uri) as source:
        shape, windows = _windows(source, scene, budget)
        for window in windows:
            values, observed = read_values(source, window, entry.bands, nodata, shape)
            if scene.valid == "all" and values.dtype == np.uint8:
                white += run_share((values == 255).all(axis=0)) / len(windows)
            flat = values.reshape(3, -1)
            found.append((flat if observed is None else flat[:, observed.ravel()]).astype("f4"))
    return np.concatenate(found, axis=1), (share, white)


def thinned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return every n-th pixel of (3, n), of those that are finite, at most `MOST_PIXELS`."""
    values = values[:, np.isfinite(values).all(axis=0)]
    return values[:, :: max(1, math.ceil(values.shape[1] / MOST_PIXELS))]


def _windows(
    source: DatasetReader, scene: Scene, budget: int
) -> tuple[tuple[int, int] | None, list[Window]]:
    """Return what to read of a file, and the rows and columns that each becomes."""
    rows, cols = scene.shape
    step = max(1.0, math.sqrt(rows * cols / budget))
    whole = Window(0, 0, cols, rows)
    size = rows * cols * 3 * np.dtype(scene.dtype).itemsize
    overviews = source.overviews(1)
    if size <= _MOST_BYTES or (overviews and size / max(overviews) ** 2 <= _MOST_BYTES):
        return (max(1, round(rows / step)), max(1, round(cols / step))), [whole]
    return None, list(_places(source, rows, cols))


def _places(source: DatasetReader, rows: int, cols: int) -> Iterator[Window]:
    high, wide = source.block_shapes[0]
    down, across = math.ceil(rows / high), math.ceil(cols / wide)
    side = math.isqrt(_PLACES)
    # Of strips, which are as wide as the file, all places are one below the other.
    many = (min(down, _PLACES), 1) if across == 1 else (min(down, side), min(across, side))
    for i in range(many[0]):
        for j in range(many[1]):
            row = int((i + 0.5) / many[0] * down) * high
            col = int((j + 0.5) / many[1] * across) * wide
            yield Window(col, row, min(wide, cols - col), min(high, rows - row))


def squares(shape: tuple[int, int], side: int, per_axis: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of squares spread over an image, the same for the same shape.

    Args:
        shape: Rows and columns of the image.
        side: Side of a square in pixels; less where the image is smaller.
        per_axis: Squares along each side at most.
    """
    starts = []
    for size in shape:
        count = max(1, min(per_axis, size // side))
        middles = [(i + 0.5) / count * size for i in range(count)]
        starts.append(sorted({max(0, min(size - side, round(m - side / 2))) for m in middles}))
    for top in starts[0]:
        for left in starts[1]:
            yield slice(top, min(top + side, shape[0])), slice(left, min(left + side, shape[1]))
