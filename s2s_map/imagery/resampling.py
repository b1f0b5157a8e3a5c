"""Separable resampling between pixel lattices whose axes are parallel: pure numpy.

GDAL's warper does the same, but takes about fourteen times as long with a mask (0.7 s per million
pixels of RGB against 0.05 s), and its values shift by rounding with the window that is asked for.
Here a pixel depends on its place alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

SHARE_FROM = 2.0
"""Ratio of pixel sizes from which a pixel is valid by the share of valid source pixels in it."""

AVERAGE_FROM = 16.0
"""Ratio of pixel sizes from which source pixels are averaged: beyond any patch (13.4).

Below it the kernel is that of the published preprocessing; a plain mean moved embeddings by up to
0.009 in cosine (benchmarks/preprocessing.py).
"""

_TURNED = 16
"""Rows that are turned at a time, of the sizes tried the fastest."""


@dataclass(frozen=True, eq=False)
class Taps:
    """Source pixels and weights of each target pixel along one axis.

    Attributes:
        index: Source pixel, shape (n, taps); may lie outside the source.
        weight: Weights, shape (n, taps), adding up to 1.
        nearest: Source pixel around the target pixel's centre, shape (n,).
    """

    index: NDArray[np.int64]
    weight: NDArray[np.float32]
    nearest: NDArray[np.int64]

    @classmethod
    def along(cls, first: int, count: int, scale: float, offset: float) -> Taps:
        """Return the taps of `count` target pixels from `first` on.

        Target pixel i spans i * scale + offset to (i + 1) * scale + offset, in source pixels.
        Below `AVERAGE_FROM` source pixels a target pixel this is Keys' cubic convolution
        (a = -0.5, IEEE Trans. ASSP 29, 1981), widened by the scale where that is above 1; from
        there on the mean of the source pixels by the length they share.
        """
        centre = (np.arange(first, first + count) + 0.5) * scale + offset
        nearest = np.floor(centre).astype(np.int64)
        reach = scale / 2.0 if scale >= AVERAGE_FROM else 2.0 * max(scale, 1.0)
        taps = int(np.ceil(2.0 * reach)) + (scale != 1.0)
        index = np.floor(centre - reach).astype(np.int64)[:, None] + np.arange(taps)[None, :]
        if scale >= AVERAGE_FROM:
            low, high = centre[:, None] - reach, centre[:, None] + reach
            weight = np.clip(np.minimum(index + 1, high) - np.maximum(index, low), 0.0, None)
        else:
            weight = _keys((index + 0.5 - centre[:, None]) / max(scale, 1.0))
        weight /= weight.sum(axis=1, keepdims=True)
        return cls(index, weight.astype(np.float32), nearest)

    @property
    def reach(self) -> int:
        """How many source pixels a tap may be away from the one around the centre."""
        return int(self.index.shape[1]) // 2

    def span(self, size: int, margin: int) -> slice | None:
        """Return the source pixels needed and a margin, None where the source has none.

        The margin lets values grow into missing data in the same way for every window.
        """
        low, high = int(self.index.min()) - margin, int(self.index.max()) + 1 + margin
        low, high = max(low, 0), min(high, size)
        return slice(low, high) if low < high else None

    def part(self, rows: slice) -> Taps:
        """Return the taps of some of the target pixels."""
        return Taps(self.index[rows], self.weight[rows], self.nearest[rows])


def weighted_rows(values: NDArray[np.float32], taps: Taps, first: int) -> NDArray[np.float32]:
    """Resample axis -2 of values (..., rows, columns) that begin at source row `first`.

    Rows beyond the values repeat the outermost one.
    """
    matrix = _matrix(taps, first, values.shape[-2])
    bands = values.reshape(-1, *values.shape[-2:])
    result = np.empty((len(bands), matrix.shape[0], values.shape[-1]), dtype=np.float32)
    for band, resampled in zip(bands, result, strict=True):
        resampled[...] = matrix @ band
    return result.reshape(*values.shape[:-2], *result.shape[1:])


def weighted_columns(values: NDArray[np.float32], taps: Taps, first: int) -> NDArray[np.float32]:
    """Resample axis -1 of values (..., rows, columns) that begin at source column `first`."""
    matrix = _matrix(taps, first, values.shape[-1])
    rows = values.reshape(-1, values.shape[-1])
    result = np.empty((len(rows), matrix.shape[0]), dtype=np.float32)
    for top in range(0, len(rows), _TURNED):
        part = np.ascontiguousarray(rows[top : top + _TURNED].T)
        result[top : top + _TURNED] = (matrix @ part).T
    return result.reshape(*values.shape[:-1], -1)


def _matrix(taps: Taps, first: int, size: int) -> csr_array:
    """Return the weights as a sparse matrix: its product adds up in the order of the taps."""
    count, width = taps.index.shape
    index = np.clip(taps.index - first, 0, size - 1)
    ends = np.arange(count + 1) * width
    matrix = csr_array((taps.weight.flatten(), index.ravel(), ends), shape=(count, size))
    matrix.eliminate_zeros()
    return matrix


def grow_into_invalid(
    values: NDArray[np.float32], valid: NDArray[np.bool_], steps: int
) -> NDArray[np.float32]:
    """Fill invalid pixels next to valid ones by the mean of these, step by step.

    So a kernel that reaches over the edge of valid data finds neighbouring ground there, not the
    black of missing data.

    Args:
        values: Shape (bands, rows, columns).
        valid: Shape (rows, columns).
        steps: How many pixels to grow.
    """
    values, known = np.where(valid, values, np.float32(0.0)), valid.copy()
    rows, cols = valid.shape
    for _ in range(steps):
        if known.all():
            break
        padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
        count = np.pad(known, 1).astype(np.float32)
        total, number = np.zeros_like(values), np.zeros(valid.shape, dtype=np.float32)
        for dy in range(3):
            for dx in range(3):
                total += padded[:, dy : dy + rows, dx : dx + cols]
                number += count[dy : dy + rows, dx : dx + cols]
        edge = ~known & (number > 0)
        values[:, edge] = total[:, edge] / number[edge]
        known |= edge
    return values


def _keys(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
