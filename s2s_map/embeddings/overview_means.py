"""Means of embeddings over squares of 2 x 2 cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

type Cells = tuple[NDArray[Any], NDArray[np.uint32]]
"""Vectors, shape (ny, nx, dim), NaN where there are none, and the valid finest cells of each."""

_BAND_BYTES = 16 << 20


def finest_cells(vectors: NDArray[np.floating[Any]]) -> Cells:
    """Return the cells of one time slot of a block with their counts: 1, and 0 for no data."""
    return vectors, (~np.isnan(vectors[..., 0])).astype(np.uint32)


def halved(cells: Cells, dtype: np.dtype[Any]) -> Cells:
    """Return the means over 2 x 2 cells, weighted by how many finest cells each stands for.

    A last odd row or column is a mean by itself. Numbers are multiplied and added one by one in
    float32, in one order, so that every processor gives the same bytes; what is returned is rounded
    once to `dtype`.

    Args:
        cells: Vectors, which count as they are stored, and counts, shape (ny, nx).
        dtype: Type in which vectors are stored.

    Examples:
        >>> vectors = np.array([[[1.0], [0.0]], [[np.nan], [0.5]]])
        >>> means, counts = halved(finest_cells(vectors), np.dtype(np.float16))
        >>> means.tolist(), counts.tolist()
        ([[[0.5]]], [[3]])
    """
    vectors, counts = cells
    ny, nx, dim = vectors.shape
    rows, cols = -(-ny // 2), -(-nx // 2)
    padded = np.zeros((2 * rows, 2 * cols), dtype=np.uint32)
    padded[:ny, :nx] = counts
    quarters = [padded[y::2, x::2] for y in (0, 1) for x in (0, 1)]
    total = np.sum(quarters, axis=0, dtype=np.uint32)
    shares = [(part / np.maximum(total, 1)).astype(np.float32) for part in quarters]
    means = np.empty((rows, cols, dim), dtype=dtype)
    step = max(1, _BAND_BYTES // (2 * nx * dim * 4))
    for top in range(0, rows, step):
        band = slice(top, min(top + step, rows))
        mean = np.zeros((band.stop - band.start, cols, dim), dtype=np.float32)
        for index, share in enumerate(shares):
            y, x = divmod(index, 2)
            part = vectors[2 * band.start + y : 2 * band.stop : 2, x::2].astype(dtype, copy=False)
            part = part.astype(np.float32)
            weight = share[band][: part.shape[0], : part.shape[1]]
            part *= weight[..., np.newaxis]
            # What is no data is NaN, and would stay so whatever its weight.
            part[weight == 0] = 0.0
            mean[: part.shape[0], : part.shape[1]] += part
        mean[total[band] == 0] = np.nan
        means[band] = mean
    return means, total
