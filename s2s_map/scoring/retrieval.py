"""How well the right item is found among all others: the published retrieval metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import DataError
from s2s_map.scoring.bootstrap import SAMPLES, Estimate, estimate

if TYPE_CHECKING:
    from torch import Tensor

TOP_SHARE = 0.1
"""The published recall is that among the first tenth of the gallery."""

RECALL_AT = (1, 5, 10, 100)
"""Ranks up to which recall is also reported, where the gallery is larger."""

FEWEST = 11
"""With fewer items no rank lies below a tenth of the gallery."""

TOP_SHARE_NAME = "R@10%"
MEDIAN_RANK = "median rank"

_ROWS, _COLUMNS = 1024, 8192
"""Similarities in memory at once: 32 MiB of float32, whatever the size of the gallery."""


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


def own_ranks(
    queries: NDArray[np.floating],
    gallery: NDArray[np.floating],
    own: NDArray[np.integer] | None = None,
) -> NDArray[np.float64]:
    """Rank of each query's own item among all items of a gallery; 1 is most similar.

    Items of equal similarity share the mean of their ranks, so a rank may be a half: what
    pandas' ``rank(method="average", ascending=False)`` of each row gives. Similarities are
    counted tile by tile and never held as a whole.

    Args:
        queries: Unit vectors (n, dim).
        gallery: Unit vectors (m, dim).
        own: Which item belongs to each query, (n,); None: item i to query i.

    Returns:
        Ranks (n,), 1 to m.

    Raises:
        ValueError: For arrays that do not belong together, or that are not finite.
    """
    index = _own_index(queries, gallery, own)
    import torch

    # One type and one contiguous copy at most; float64 stays float64.
    kind = np.promote_types(np.promote_types(queries.dtype, gallery.dtype), np.float32)
    rows = torch.from_numpy(np.ascontiguousarray(queries, dtype=kind))
    columns = torch.from_numpy(np.ascontiguousarray(gallery, dtype=kind))
    ranks = np.empty(len(rows), dtype=np.float64)
    with torch.inference_mode():
        tiles = _Tiles(columns, min(_ROWS, len(rows)))
        for start in range(0, len(rows), _ROWS):
            part = slice(start, min(start + _ROWS, len(rows)))
            above, equal = tiles.count(rows[part], torch.from_numpy(index[part]))
            ranks[part] = (above + (equal + 1) / 2).numpy()
    return ranks


class _Tiles:
    """Products of a run of queries with the gallery, in tiles that all have one shape.

    How a matrix product rounds depends on its shape and, at its edges, on the place in it. With
    one shape for all tiles, edges padded, equal items stay equal wherever they lie.
    """

    def __init__(self, gallery: Tensor, rows: int) -> None:
        import torch

        self._gallery = gallery
        # Multiples of 64 leave no edge to the inner kernels of matrix products.
        self._rows = -(-rows // 64) * 64
        self._columns = min(_COLUMNS, -(-len(gallery) // 64) * 64)
        self._product = torch.empty(self._rows, self._columns, dtype=gallery.dtype)
        self._queries = torch.zeros(self._rows, gallery.shape[1], dtype=gallery.dtype)
        self._last = torch.zeros(self._columns, gallery.shape[1], dtype=gallery.dtype)

    def count(self, queries: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Count the items above each query's own one, and those equal to it, itself included."""
        import torch

        n = len(queries)
        self._queries[:n] = queries
        self._queries[n:] = 0
        mine = self._own_similarity(n, own)[:, None]
        above = torch.zeros(n, dtype=torch.int64)
        equal = torch.zeros(n, dtype=torch.int64)
        for start in range(0, len(self._gallery), self._columns):
            found = self._similarity(self._gallery[start : start + self._columns])[:n]
            above += torch.count_nonzero(found > mine, dim=1)
            equal += torch.count_nonzero(found == mine, dim=1)
        return above, equal

    def _own_similarity(self, n: int, own: Tensor) -> Tensor:
        """Similarity of each query to its own item, from tiles like all others."""
        import torch

        found = torch.empty(n, dtype=self._gallery.dtype)
        for start in range(0, n, self._columns):
            of = own[start : start + self._columns]
            product = self._similarity(self._gallery[of])
            found[start : start + len(of)] = product[start : start + len(of), : len(of)].diagonal()
        return found

    def _similarity(self, items: Tensor) -> Tensor:
        import torch

        count = len(items)
        if count < self._columns:
            self._last[:count] = items
            self._last[count:] = 0
            items = self._last
        return torch.matmul(self._queries, items.T, out=self._product)[:, :count]


def _own_index(
    queries: NDArray[np.floating],
    gallery: NDArray[np.floating],
    own: NDArray[np.integer] | None,
) -> NDArray[np.int64]:
    fits = queries.ndim == gallery.ndim == 2 and queries.shape[1] == gallery.shape[1]
    if not fits or (own is None and len(queries) != len(gallery)):
        raise ValueError(f"queries {queries.shape} and gallery {gallery.shape} must match")
    index = np.arange(len(queries)) if own is None else np.asarray(own, dtype=np.int64)
    if index.shape != (len(queries),) or (
        len(index) and not (index.min() >= 0 and index.max() < len(gallery))
    ):
        raise ValueError(f"own items {index.shape} of {len(gallery)} for {len(queries)} queries")
    for name, array in (("queries", queries), ("gallery", gallery)):
        blocks = range(0, len(array), _COLUMNS)
        if not all(np.isfinite(array[i : i + _COLUMNS]).all() for i in blocks):
            raise ValueError(f"{name} that are not finite have no ranks")
    return np.asarray(index, dtype=np.int64)


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


def retrieval_metrics(ranks: NDArray[np.floating], size: int) -> dict[str, float]:
    """Recalls and median rank of ranks within a gallery.

    ``R@10%`` is the published one: the share of ranks strictly below a tenth of the gallery.
    ``R@k`` is the usual one: the share of ranks up to k, where the gallery has more than k items.

    Args:
        ranks: What `own_ranks` gives, (n,).
        size: Items of the gallery.

    Raises:
        DataError: If a tenth of the gallery is less than one rank.
    """
    if size < FEWEST:
        raise DataError(
            f"{size} samples are too few for {TOP_SHARE_NAME}",
            expected=f"at least {FEWEST}",
            remedy="evaluate on a larger split",
        )
    found = {TOP_SHARE_NAME: float((ranks < TOP_SHARE * size).mean())}
    found |= {f"R@{k}": float((ranks <= k).mean()) for k in RECALL_AT if k < size}
    return found | {MEDIAN_RANK: float(np.median(ranks))}


def retrieval_estimates(
    ranks: NDArray[np.floating], size: int, samples: int = SAMPLES, seed: int = 0
) -> dict[str, Estimate]:
    """`retrieval_metrics` with bootstrap intervals over the queries; the gallery stays whole.

    Raises:
        DataError: As `retrieval_metrics`.
    """
    return estimate(
        lambda drawn: retrieval_metrics(ranks[drawn], size), len(ranks), samples=samples, seed=seed
    )


def recall_curve(
    ranks: NDArray[np.floating], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall over the share of the gallery that is looked through.

    Returns:
        Shares of the gallery and recalls, both 0 to 1, ascending, from (0, 0) to (1, 1).
    """
    ordered = np.sort(ranks) / size
    recall = np.arange(1, len(ordered) + 1) / len(ordered)
    return np.concatenate([[0.0], ordered, [1.0]]), np.concatenate([[0.0], recall, [1.0]])


def describe(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """Return estimates as JSON can hold them."""
    return {name: one.as_dict() for name, one in estimates.items()}
