"""Dot products that come out the same on every processor, because nothing in them is rounded.

How a matrix product rounds depends on the order of its sums, which is up to the processor and its
library. Here vectors are written as sums of a few integers times powers of two, so short that
their products, and sums of as many products as there are dimensions, stay below 2^53: float64
holds them all, and every order of summation gives the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

Digits = NDArray[np.float64]
"""Vectors (parts, n, dim) as integers, the most significant part first."""

Levels = NDArray[np.int64]
"""Products (levels, ...) as integers, the most significant level first."""

_EXACT_BITS = 53
_GUARD_BITS = 10


class ExactProducts:
    """Dot products of vectors that are first rounded, number by number, to a grid.

    The grid is at most 2^-34 of the largest number of a query, or of all items, for float32 and
    2^-63 for float64: numbers down to a thousandth of the largest one keep all their bits.

    Args:
        dim: Length of the vectors.
        dtype: What they come in, float32 or float64.
        largest: Largest absolute value in all items.

    Attributes:
        dim: Length of the vectors.
        grid: What numbers are rounded to, as a share of the largest one.
    """

    def __init__(self, dim: int, dtype: np.dtype[np.floating], largest: float) -> None:
        self._bits = (_EXACT_BITS - max(dim - 1, 0).bit_length()) // 2
        self._parts = -(-(np.finfo(dtype).nmant + 1 + _GUARD_BITS) // self._bits)
        self._exponent = np.frexp(largest)[1]
        self.dim = dim
        self.grid = 2.0 ** -(self._parts * self._bits)

    def of_queries(self, queries: NDArray[np.floating]) -> Digits:
        """Digits of vectors (n, dim), each on its own grid."""
        return self._digits(queries, np.frexp(np.abs(queries).max(axis=1, keepdims=True))[1])

    def of_items(self, items: NDArray[np.floating]) -> Digits:
        """Digits of vectors (n, dim), all on one grid."""
        return self._digits(items, self._exponent)

    def of_pairs(self, queries: Digits, items: Digits) -> Levels:
        """Products of the i-th query with the i-th item, (levels, n)."""
        return self._levels([[np.einsum("nd,nd->n", q, g) for g in items] for q in queries])

    def of_all(self, queries: Digits, items: Digits) -> Levels:
        """Products of all queries with all items, (levels, queries, items)."""
        return self._levels([[q @ g.T for g in items] for q in queries])

    def _digits(self, vectors: NDArray[np.floating], exponent: NDArray[np.intc]) -> Digits:
        rest = np.ldexp(vectors.astype(np.float64), self._bits - exponent)
        found = np.empty((self._parts, *vectors.shape))
        for part in found:
            np.rint(rest, out=part)
            rest -= part
            rest *= 2.0**self._bits
        return found

    def _levels(self, products: list[list[NDArray[np.float64]]]) -> Levels:
        """Sum up products that count the same power of two, and carry."""
        found = np.zeros((2 * self._parts - 1, *products[0][0].shape), dtype=np.int64)
        for i, row in enumerate(products):
            for j, product in enumerate(row):
                found[i + j] += product.astype(np.int64)
        for level in range(len(found) - 1, 0, -1):
            carried = found[level] >> self._bits
            found[level] -= carried << self._bits
            found[level - 1] += carried
        return found


def compare(one: Levels, other: Levels) -> NDArray[np.int64]:
    """Tell which products are above (1), equal to (0) or below (-1) others of the same query."""
    found = np.sign(one[0] - other[0])
    for a, b in zip(one[1:], other[1:], strict=True):
        found = np.where(found == 0, np.sign(a - b), found)
    return np.asarray(found)


def largest_error(
    exact: ExactProducts, kind: DTypeLike, queries: NDArray[np.float64], longest: float
) -> NDArray[np.float64]:
    """By how much a product that a library computes may differ from the exact one.

    A sum of products of two vectors, in whatever order, is wrong by no more than their lengths
    times ``dim u / (1 - dim u)``, with u half an epsilon of its type (Higham 2002, section 3.1).

    Args:
        exact: The exact products.
        kind: What the library computes in.
        queries: Lengths of queries, (n,).
        longest: Length of the longest item.

    Returns:
        Bounds (n,).
    """
    about = np.finfo(kind)
    part = exact.dim * float(about.eps) / 2
    share = part / (1 - part) + 4 * exact.dim * exact.grid
    # A little more for the lengths' own rounding; products below the normal numbers may be lost.
    return np.asarray(1.001 * share * queries * longest + exact.dim * float(about.tiny))


def lengths(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Lengths of vectors (n, dim), in float64; no wide copy is made."""
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)))


class PairProducts:
    """Products of pairs of vectors in float64, rounded, as many at once as a cache may hold.

    Args:
        dim: Length of the vectors.
        at_once: Pairs that are multiplied at once.
    """

    def __init__(self, dim: int, at_once: int) -> None:
        self.at_once = at_once
        self._both = np.empty((2, at_once, dim))

    def products(
        self,
        queries: NDArray[np.floating],
        rows: NDArray[np.integer],
        items: NDArray[np.floating],
        others: NDArray[np.integer],
    ) -> NDArray[np.float64]:
        """Products of the queries in some rows with the items in as many others."""
        found = np.empty(len(rows))
        for start in range(0, len(rows), self.at_once):
            some = slice(start, start + self.at_once)
            left, right = self._both[:, : len(rows[some])]
            left[:], right[:] = queries[rows[some]], items[others[some]]
            np.vecdot(left, right, out=found[some])
        return found
