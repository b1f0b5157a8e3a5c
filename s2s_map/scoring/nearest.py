"""The most similar items of each query, the same ones on every processor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from s2s_map.scoring.exact import ExactProducts, largest_error, lengths

_ROWS = 256


def nearest(
    queries: NDArray[np.floating], items: NDArray[np.floating], count: int
) -> NDArray[np.int64]:
    """Return which items are most similar to each query, the most similar first.

    Of equally similar ones those that come first are taken. What lies within rounding of the
    last one taken is compared exactly, so that the choice depends on the vectors alone.

    Args:
        queries: Unit vectors (n, dim).
        items: Unit vectors (m, dim).
        count: How many of each; at most m.

    Returns:
        Indices of items (n, min(count, m)).
    """
    count = min(count, len(items))
    kind = np.promote_types(np.promote_types(queries.dtype, items.dtype), np.float32)
    items = np.asarray(items, dtype=kind)
    exact = ExactProducts(items.shape[1], kind, float(np.abs(items).max(initial=0)))
    longest = lengths(items).max(initial=0)
    found = np.empty((len(queries), count), dtype=np.int64)
    for start in range(0, len(queries) if count else 0, _ROWS):
        part = np.asarray(queries[start : start + _ROWS], dtype=kind)
        digits = exact.of_queries(part)
        similar = part @ items.T
        last = np.partition(similar, -count, axis=1)[:, -count].astype(np.float64)
        # Both the last one and what is compared with it may be wrong by so much.
        low = last - 2 * largest_error(exact, kind, lengths(part), longest)
        for i, row in enumerate(similar):
            near = np.flatnonzero(row >= low[i])
            levels = exact.of_all(digits[:, i : i + 1], exact.of_items(items[near]))[:, 0]
            order = np.lexsort((near, *-levels[::-1]))
            found[start + i] = near[order[:count]]
    return found
