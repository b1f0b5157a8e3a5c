"""How well the right item is found among all others: the published retrieval metric."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import DataError
from s2s_map.scoring.bootstrap import SAMPLES, Estimate, estimate
from s2s_map.scoring.exact import (
    Digits,
    ExactProducts,
    Levels,
    PairProducts,
    compare,
    largest_error,
    lengths,
)

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

_FEW = 1 / 32
"""Up to this share of a tile pairs are compared one by one; of more, all of the tile is."""

_DENSE_COLUMNS = 512
"""Of such a tile, how many are compared at once: each similarity takes about 100 bytes there."""

_NUMBERS = 1 << 16
"""Numbers of pairs that are compared at once: what a processor's cache holds."""

_SCALED_BEYOND = 16
"""Powers of two beyond which items are scaled, so that no product is too large or too small."""


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

    Ranks depend on the vectors alone, not on how a processor rounds: what lies so near the own
    similarity that rounding could turn their order is compared again, exactly.

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
    # One type, float64 if either is, and one copy at most.
    kind = np.promote_types(np.promote_types(queries.dtype, gallery.dtype), np.float32)
    items = _Gallery(np.asarray(gallery, dtype=kind))
    ranks = np.empty(len(queries), dtype=np.float64)
    for start in range(0, len(queries), _ROWS):
        part = slice(start, start + _ROWS)
        above, equal = items.count(np.asarray(queries[part], dtype=kind), index[part])
        ranks[part] = above + (equal + 1) / 2
    return ranks


class _Gallery:
    """Items, (m, dim), that are counted above and beside the own ones of a run of queries."""

    def __init__(self, items: NDArray[np.floating]) -> None:
        largest = max((float(np.abs(part).max()) for part in _runs(items)), default=0.0)
        exponent = int(np.frexp(largest)[1])
        if abs(exponent) > _SCALED_BEYOND:
            items, largest = np.ldexp(items, -exponent), float(np.ldexp(largest, -exponent))
        self._items = items
        self._exact = ExactProducts(items.shape[1], items.dtype, largest)
        self._longest = max((lengths(part).max() for part in _runs(items)), default=0.0)
        # Memory that is taken once: its pages cost more than what is done in them.
        self._pairs = PairProducts(items.shape[1], max(1, _NUMBERS // items.shape[1]))
        self._scaled = np.empty((_ROWS, items.shape[1]), items.dtype)
        tile = _ROWS * min(_COLUMNS, len(items))
        self._tile = np.empty(tile, items.dtype), np.empty(tile, bool), np.empty(tile, bool)

    def count(
        self, queries: NDArray[np.floating], own: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Count the items above each query's own one, and those equal to it, itself included."""
        # A query's length changes no order; so none is too long or too short for its products.
        exponents = np.frexp(np.abs(queries).max(axis=1, keepdims=True))[1]
        queries = np.ldexp(queries, -exponents, out=self._scaled[: len(queries)])
        closer = _Closer(self._exact, self._pairs, queries, self._items, own, self._longest)
        low, high = closer.doubtful()
        above, equal = np.zeros((2, len(queries)), dtype=np.int64)
        for start in range(0, len(self._items), _COLUMNS):
            items = self._items[start : start + _COLUMNS]
            shape = len(queries), len(items)
            found, surely, near = (part[: math.prod(shape)].reshape(shape) for part in self._tile)
            np.matmul(queries, items.T, out=found)
            np.greater(found, high, out=surely)
            np.not_equal(np.greater_equal(found, low, out=near), surely, out=near)
            if np.count_nonzero(near) > _FEW * near.size:
                for part in _runs(items, _DENSE_COLUMNS):
                    order = closer.with_all(part)
                    above += np.count_nonzero(order > 0, axis=1)
                    equal += np.count_nonzero(order == 0, axis=1)
                continue
            above += [np.count_nonzero(row) for row in surely]  # faster than along an axis
            rows, columns = np.divmod(np.flatnonzero(near), len(items))
            order = closer.with_each(rows, start + columns)
            above += np.bincount(rows[order > 0], minlength=len(queries))
            equal += np.bincount(rows[order == 0], minlength=len(queries))
        return above, equal


class _Closer:
    """Compares similarities of queries with those of their own items where rounding could err."""

    def __init__(
        self,
        exact: ExactProducts,
        pairs: PairProducts,
        queries: NDArray[np.floating],
        items: NDArray[np.floating],
        own: NDArray[np.int64],
        longest: float,
    ) -> None:
        self._exact, self._queries, self._items, self._own = exact, queries, items, own
        self._pairs = pairs
        self._mine = pairs.products(queries, np.arange(len(own)), items, own)
        self._error, self._wide_error = (
            largest_error(exact, kind, lengths(queries), longest)
            for kind in (queries.dtype, np.float64)
        )

    def doubtful(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Between which similarities, as a library computes them, nothing is sure, (n, 1) each."""
        margin, kind = self._error + self._wide_error, self._queries.dtype
        low, high = (self._mine - margin).astype(kind), (self._mine + margin).astype(kind)
        return np.nextafter(low, -np.inf)[:, None], np.nextafter(high, np.inf)[:, None]

    def with_each(self, rows: NDArray[np.intp], items: NDArray[np.intp]) -> NDArray[np.int64]:
        """Tell whether the item of each pair is above (1), equal to (0) or below the own one."""
        order = np.zeros(len(rows), dtype=np.int64)
        others = np.flatnonzero(items != self._own[rows])
        rows, items = rows[others], items[others]
        gap = self._pairs.products(self._queries, rows, self._items, items) - self._mine[rows]
        order[others] = np.sign(gap)
        unsure = np.flatnonzero(np.abs(gap) <= 2 * self._wide_error[rows])
        for some in _runs(unsure, self._pairs.at_once):
            order[others[some]] = self._exactly(rows[some], items[some])
        return order

    def _exactly(self, rows: NDArray[np.intp], items: NDArray[np.intp]) -> NDArray[np.int64]:
        exact = self._exact
        digits = exact.of_queries(self._queries[rows])
        return compare(
            *(
                exact.of_pairs(digits, exact.of_items(self._items[of]))
                for of in (items, self._own[rows])
            )
        )

    def with_all(self, items: NDArray[np.floating]) -> NDArray[np.int64]:
        """Tell the same of all items, (n, m)."""
        digits, mine = self._digits_and_mine
        return compare(self._exact.of_all(digits, self._exact.of_items(items)), mine[:, :, None])

    @cached_property
    def _digits_and_mine(self) -> tuple[Digits, Levels]:
        digits = self._exact.of_queries(self._queries)
        own = self._exact.of_items(self._items[self._own])
        return digits, self._exact.of_pairs(digits, own)


def _runs(array: NDArray[Any], length: int = 1024) -> Iterator[NDArray[Any]]:
    for start in range(0, len(array), length):
        yield array[start : start + length]


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
