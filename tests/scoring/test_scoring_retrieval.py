"""The published retrieval metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.scoring.retrieval import own_ranks, retrieval


def test_own_items_that_are_most_similar_rank_first() -> None:
    items = np.eye(20)
    assert own_ranks(items, items).tolist() == [1.0] + [1.0] * 19
    found = retrieval(items, items)
    assert (found.recall, found.median_rank, found.k) == (1.0, 1.0, 2.0)


def test_equals_share_the_mean_of_their_ranks() -> None:
    queries = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert own_ranks(queries, queries).tolist() == [1.5, 1.5, 1.0]


def test_recall_is_strict() -> None:
    queries = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert retrieval(queries, queries, k=1).recall == 0.0
    assert retrieval(queries, queries, k=1.5).recall == 1.0


@given(st.integers(2, 30), st.integers(0, 100))
def test_ranks_lie_within_the_gallery(size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    ranks = own_ranks(random.normal(size=(size, 4)), random.normal(size=(size, 4)))
    assert ((ranks >= 1) & (ranks <= size)).all()


def test_queries_and_gallery_must_match() -> None:
    with pytest.raises(ValueError, match="must match"):
        own_ranks(np.eye(3), np.eye(4))
