"""How well the right item is found among all others: the published retrieval metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOP_SHARE = 0.1
"""The published recall is that among the first tenth of the gallery."""


@dataclass(frozen=True)
class Retrieval:
    """Results of a retrieval.

    Attributes:
        recall: Share of queries whose own item ranks before `k`.
        median_rank: Median of the ranks of the own items; 1 is best.
        k: Ranks below it count.
    """

    recall: float
    median_rank: float
    k: float


def own_ranks(queries: NDArray[np.floating], gallery: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rank of each query's own item, item i of the gallery for query i; 1 is most similar.

    Items of equal similarity share the mean of their ranks, so a rank may be a half.

    Args:
        queries: Unit vectors (n, dim).
        gallery: Unit vectors (n, dim).

    Raises:
        ValueError: For arrays of different shapes.
    """
    if queries.ndim != 2 or queries.shape != gallery.shape:
        raise ValueError(f"queries {queries.shape} and gallery {gallery.shape} must match")
    similarity = queries @ gallery.T
    own = np.diagonal(similarity)[:, None]
    above = (similarity > own).sum(axis=1)
    equal = (similarity == own).sum(axis=1)
    return np.asarray(above + (equal + 1) / 2, dtype=np.float64)


def retrieval(
    queries: NDArray[np.floating], gallery: NDArray[np.floating], k: float | None = None
) -> Retrieval:
    """Recall and median rank of finding each query's own item.

    As published, recall counts ranks strictly below k.

    Args:
        queries: Unit vectors (n, dim).
        gallery: Unit vectors (n, dim); item i belongs to query i.
        k: None: a tenth of the gallery's size, as published.
    """
    ranks = own_ranks(queries, gallery)
    limit = TOP_SHARE * len(gallery) if k is None else k
    return Retrieval(float((ranks < limit).mean()), float(np.median(ranks)), limit)
