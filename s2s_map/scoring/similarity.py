"""Cosine similarity of cells and queries, as blockwise matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# Of one converted run: small enough for a processor's cache, large enough for BLAS.
_RUN_BYTES = 1 << 19


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

    Float16 is converted to float32 by runs that stay in the processor's cache, and multiplied
    there: memory is read once, as half precision. PyTorch does both, since numpy converts at a
    tenth of that speed and multiplies float16 without BLAS. Values in float32 are not copied.

    One core does it: that is near memory speed for a few queries, runs this short are not worth
    sharing, and blocks are scored side by side. So the number of threads changes nothing. How a
    cell's sum of products is ordered is up to the processor's matrix library, and may differ in
    the last bits between a full run and a shorter last one.

    Args:
        values: Embeddings, shape (..., dim), C-contiguous or small.
        queries: Unit vectors, shape (q, dim).
        width: Columns that the caller needs as working space per cell, to bound its memory too.

    Yields:
        The run among the flattened cells, and its similarities of shape (run, q).
    """
    import torch

    from s2s_map.models.threads import one_thread

    dim = values.shape[-1]
    flat = values.reshape(-1, dim)
    weights = torch.from_numpy(np.array(queries, dtype=np.float32))
    step = max(64, _RUN_BYTES // (4 * max(dim, len(queries), width, 1)))
    converted = torch.empty((min(step, len(flat)), dim), dtype=torch.float32)
    for start in range(0, len(flat), step):
        rows = slice(start, min(start + step, len(flat)))
        run = flat[rows]
        # PyTorch takes no read-only arrays, such as those of a memory map.
        given = torch.from_numpy(run if run.flags.writeable else run.copy())
        with torch.inference_mode(), one_thread():
            if given.dtype != torch.float32:
                given = converted[: len(run)].copy_(given)
            similar = torch.nn.functional.linear(given, weights)
        yield rows, similar.numpy()
