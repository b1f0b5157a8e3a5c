"""The published retrieval metric."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from s2s_map.errors import DataError
from s2s_map.scoring import retrieval as module
from s2s_map.scoring.retrieval import (
    own_ranks,
    recall_curve,
    retrieval,
    retrieval_estimates,
    retrieval_metrics,
)


def ranks_as_published(queries: NDArray[np.float64], gallery: NDArray[np.float64]) -> list[float]:
    """Row by row through pandas, as the published evaluation ranks."""
    frame = pd.DataFrame(queries @ gallery.T)
    return [float(row.rank(ascending=False, method="average")[i]) for i, row in frame.iterrows()]


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


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(1, 3), st.integers(0, 1000))
def test_ranks_are_those_of_pandas_with_many_ties(size: int, dim: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    queries = random.integers(-2, 3, (size, dim)).astype(float)
    gallery = random.integers(-2, 3, (size, dim)).astype(float)
    assert own_ranks(queries, gallery).tolist() == ranks_as_published(queries, gallery)


def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    queries, gallery = random.normal(size=(2, 333, 16))
    whole = own_ranks(queries, gallery)
    monkeypatch.setattr(module, "_ROWS", 100)
    monkeypatch.setattr(module, "_COLUMNS", 64)
    assert own_ranks(queries, gallery).tolist() == whole.tolist()
    some = np.array([5, 300, 7])
    assert own_ranks(queries[some], gallery, some).tolist() == whole[some].tolist()


def test_equal_items_stay_equal_in_float32_wherever_they_lie(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Rounding must not depend on the place in a tile: each item lies in the gallery three times.
    monkeypatch.setattr(module, "_COLUMNS", 256)
    random = np.random.default_rng(1)
    once = random.normal(size=(301, 257)).astype(np.float32)
    once /= np.linalg.norm(once, axis=1, keepdims=True)
    queries = (once + 0.05 * random.normal(size=once.shape)).astype(np.float32)
    single = own_ranks(queries, once)
    triple = own_ranks(queries, np.concatenate([once, once[::-1], once]), np.arange(301))
    assert triple.tolist() == (3 * single - 1).tolist()


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_half_precision_is_ranked_as_what_it_holds(kind: type) -> None:
    random = np.random.default_rng(5)
    queries, gallery = (random.normal(size=(60, 16)).astype(kind) for _ in range(2))
    gallery[40:50] = gallery[:10]  # equal items, far apart
    wide = [array.astype(np.float64) for array in (queries, gallery)]
    assert own_ranks(queries, gallery).tolist() == ranks_as_published(*wide)
    for wrong in (np.nan, np.inf):
        gallery[59, 3] = wrong
        with pytest.raises(ValueError, match="gallery that are not finite"):
            own_ranks(queries, gallery)


def test_no_matrix_of_all_pairs_is_held() -> None:
    """12,000 x 12,000 similarities would be 549 MiB."""
    code = """
import resource
import numpy as np
from s2s_map.scoring.retrieval import own_ranks
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
items = np.random.default_rng(0).normal(size=(12_000, 8)).astype(np.float32)
own_ranks(items[:2000], items[:2000])
before = peak()
ranks = own_ranks(items, items)
print(round(peak() - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) < 200


def test_queries_and_gallery_must_match() -> None:
    with pytest.raises(ValueError, match="must match"):
        own_ranks(np.eye(3), np.eye(4))
    with pytest.raises(ValueError, match="own items"):
        own_ranks(np.eye(3), np.eye(3), np.array([0, 1, 3]))
    with pytest.raises(ValueError, match="not finite"):
        own_ranks(np.eye(2), np.full((2, 2), np.nan))


def test_metrics_by_hand() -> None:
    ranks = np.arange(1.0, 21.0)
    found = retrieval_metrics(ranks, 20)
    # Strictly below a tenth of 20, so rank 1 alone; R@k counts up to k.
    assert found == {"R@10%": 0.05, "R@1": 0.05, "R@5": 0.25, "R@10": 0.5, "median rank": 10.5}
    assert "R@100" in retrieval_metrics(ranks, 101)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(DataError, match=r"10 samples are too few for R@10%; expected at least 11"):
        retrieval_metrics(np.ones(10), 10)


def test_intervals_hold_the_value_and_repeat() -> None:
    ranks = np.random.default_rng(0).integers(1, 300, 200).astype(float)
    found = retrieval_estimates(ranks, 300, samples=200)
    assert found == retrieval_estimates(ranks, 300, samples=200)
    for one in found.values():
        assert one.low <= one.value <= one.high
        assert one.low < one.high or one.value == one.low
    certain = retrieval_estimates(np.ones(50), 50, samples=20)["R@10%"]
    assert (certain.value, certain.low, certain.high) == (1.0, 1.0, 1.0)


def test_recall_curve_rises_from_nothing_to_all() -> None:
    share, recall = recall_curve(np.array([4.0, 1.0]), 4)
    assert share.tolist() == [0, 0.25, 1, 1]
    assert recall.tolist() == [0, 0.5, 1, 1]
