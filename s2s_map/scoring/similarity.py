"""Cosine similarity of cells and queries, as blockwise matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# Of one converted row block: small enough for a processor's cache, large enough for BLAS.
_ROW_BLOCK_BYTES = 4 << 20


def similarity(values: Floats, queries: Floats) -> NDArray[np.float32]:
    """Return the dot product of every cell with every query.

    With unit queries and cells that hold the weighted mean of unit embeddings this is the
    weighted mean of the cosine similarities, in [-1, 1].

    Args:
        values: Embeddings, shape (..., dim), float16 or float32; NaN for no data.
        queries: Unit vectors, shape (q, dim).

    Returns:
        Shape (..., q); NaN where the cell has no data.

    Raises:
        ValueError: For shapes that do not belong together.
    """
    if queries.ndim != 2 or values.ndim < 1 or values.shape[-1] != queries.shape[1]:
        raise ValueError(
            f"values of shape {values.shape} and queries of shape {queries.shape}: "
            "expected (..., dim) and (q, dim)"
        )
    result = np.empty((*values.shape[:-1], len(queries)), dtype=np.float32)
    flat = result.reshape(-1, len(queries))
    for rows, block in similarity_rows(values, queries):
        flat[rows] = block
    return result


def similarity_rows(
    values: Floats, queries: Floats, width: int = 0
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the similarities of one run of cells after the other.

    Float16 is converted to float32 by runs, since no processor here multiplies float16 at memory
    speed, and a converted copy of everything would not fit. Values in float32 are not copied.

    Args:
        values: Embeddings, shape (..., dim), C-contiguous or small.
        queries: Unit vectors, shape (q, dim).
        width: Columns that the caller needs as working space per cell, to bound its memory too.

    Yields:
        The run among the flattened cells, and its similarities of shape (run, q).
    """
    dim = values.shape[-1]
    flat = values.reshape(-1, dim)
    weights = np.ascontiguousarray(queries.T, dtype=np.float32)
    step = max(64, _ROW_BLOCK_BYTES // (4 * max(dim, len(queries), width, 1)))
    for start in range(0, len(flat), step):
        rows = slice(start, min(start + step, len(flat)))
        # NaN is meant here: some BLAS builds raise the invalid flag for it.
        with np.errstate(invalid="ignore"):
            yield rows, flat[rows].astype(np.float32, copy=False) @ weights
