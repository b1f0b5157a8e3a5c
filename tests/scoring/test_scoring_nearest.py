"""The most similar items, chosen without rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2s_map.scoring.nearest import nearest


@settings(max_examples=60)
@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 14),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 2),
    st.data(),
)
def test_they_are_those_of_exact_products(
    size: int, dim: int, count: int, kind: type, few: int, data: st.DataObject
) -> None:
    # Multiples of 2^-24, of three or five values only or of any: many are equal, or a bit apart.
    numbers = st.integers(-few, few) if few else st.integers(-(1 << 24), 1 << 24)
    vectors = st.lists(numbers, min_size=dim, max_size=dim)
    whole = data.draw(st.lists(vectors, min_size=size + 1, max_size=size + 1))
    query, *items = np.array(whole, kind) * kind(2.0**-24)
    exact = [
        sum((Fraction(a) * b for a, b in zip(whole[0], item, strict=True)), Fraction())
        for item in whole[1:]
    ]
    expected = sorted(range(size), key=lambda i: -exact[i])[:count]
    assert nearest(query[None], np.array(items), count).tolist() == [expected]


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_equal_items_are_taken_in_their_order_wherever_they_lie(kind: type) -> None:
    random = np.random.default_rng(0)
    queries, items = random.normal(size=(2, 300, 96)).astype(kind)
    whole = nearest(queries, np.concatenate([items, items[::-1]]), 8)
    once = nearest(queries, items, 4)
    assert whole[:, ::2].tolist() == once.tolist()
    assert whole[:, 1::2].tolist() == (599 - once).tolist()
    assert nearest(0 * queries, items, 3).tolist() == [[0, 1, 2]] * 300
    assert nearest(queries, items[:0], 3).shape == (300, 0)
