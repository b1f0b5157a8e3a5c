"""Similarity and probability: exact, bounded, monotone, indifferent to order."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from s2s_map.errors import QueryError
from s2s_map.scoring.probability import (
    ProbabilityMethod,
    SimilarityMethod,
    SoftmaxMethod,
    drop_near_synonyms,
    score_concepts,
    softmax_probability,
)
from s2s_map.scoring.similarity import similarity

cosines = st.floats(-1.0, 1.0, width=32)
temperatures = st.sampled_from([0.002, 0.01, 0.05, 0.07, 1.0, 10.0])
backgrounds = hnp.arrays(np.float32, st.integers(1, 30), elements=cosines)


def score_one(
    values: Any, query: Any, background: Any, method: ProbabilityMethod
) -> tuple[Any, Any]:
    """One query against all of a background."""
    keep = np.ones((1, len(background)), dtype=np.bool_)
    p, s = score_concepts(values, query[None], background, keep, method)
    return p[0], s[0]


def unit(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    vectors = rng.normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


@given(
    st.integers(1, 400),
    st.integers(1, 40),
    st.integers(1, 5),
    st.sampled_from(["f2", "f4"]),
)
@settings(max_examples=30, deadline=None)
def test_similarity_is_the_dot_product(cells: int, dim: int, queries: int, dtype: str) -> None:
    rng = np.random.default_rng(cells * dim)
    values, asked = unit(rng, 1, cells, dim).astype(dtype), unit(rng, queries, dim)
    values[0, 0] = np.nan
    got = similarity(values, asked)
    assert got.dtype == np.float32
    assert got.shape == (1, cells, queries)
    assert np.isnan(got[0, 0]).all()
    expected = values[0, 1:].astype(np.float64) @ asked.T.astype(np.float64)
    np.testing.assert_allclose(got[0, 1:], expected, atol=1e-6)


def test_similarity_of_a_view_and_of_no_cells() -> None:
    rng = np.random.default_rng(0)
    values, asked = unit(rng, 6, 8, 5), unit(rng, 2, 5)
    turned = values.transpose(1, 0, 2)
    np.testing.assert_array_equal(
        similarity(turned, asked), similarity(values, asked).transpose(1, 0, 2)
    )
    assert similarity(values[:0], asked).shape == (0, 8, 2)
    with pytest.raises(ValueError, match=r"expected \(\.\.\., dim\) and \(q, dim\)"):
        similarity(values, asked[:, :3])


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_cells_without_data_leave_their_neighbours_alone(dtype: str) -> None:
    """Over several runs, of which the last is shorter, in an array that cannot be written."""
    rng = np.random.default_rng(0)
    values, asked = unit(rng, 1100, 512).astype(dtype), unit(rng, 3, 512)
    empty = rng.random(1100) < 0.3
    values[empty] = np.nan
    values.flags.writeable = False
    got = similarity(values, asked)
    np.testing.assert_array_equal(np.isnan(got), np.repeat(empty[:, None], 3, axis=1))
    expected = values[~empty].astype(np.float64) @ asked.T.astype(np.float64)
    np.testing.assert_allclose(got[~empty], expected, atol=1e-6)


@given(cosines, backgrounds, temperatures)
def test_probability_is_the_softmax(s: float, background: NDArray[np.float32], t: float) -> None:
    p = softmax_probability(np.array([s], dtype=np.float32), background[None], t)
    assert 0.0 <= p[0] <= 1.0
    logits = np.append(background.astype(np.float64), s) / t
    weights = np.exp(logits - logits.max())
    np.testing.assert_allclose(p[0], weights[-1] / weights.sum(), rtol=2e-3, atol=1e-6)


@given(cosines, cosines, backgrounds, temperatures)
def test_probability_rises_with_similarity(
    a: float, b: float, background: NDArray[np.float32], t: float
) -> None:
    low, high = sorted((a, b))
    both = np.array([low, high], dtype=np.float32)
    p = softmax_probability(both, np.stack([background, background]), t)
    assert p[0] <= p[1] + 1e-7
    if (high - low) / t > 1e-3 and 1e-3 < p[0] < 0.999:
        assert p[0] < p[1]


@given(backgrounds, cosines, temperatures, st.randoms(use_true_random=False))
def test_order_of_the_background_does_not_matter(
    background: NDArray[np.float32], s: float, t: float, random: object
) -> None:
    order = np.random.default_rng(len(background)).permutation(len(background))
    one = np.array([s], dtype=np.float32)
    np.testing.assert_allclose(
        softmax_probability(one, background[None], t),
        softmax_probability(one, background[order][None], t),
        rtol=1e-4,
        atol=1e-9,
    )


@given(backgrounds, cosines, cosines, temperatures)
def test_a_larger_background_never_raises_the_probability(
    background: NDArray[np.float32], s: float, more: float, t: float
) -> None:
    one = np.array([s], dtype=np.float32)
    larger = np.append(background, np.float32(more))
    before = softmax_probability(one, background[None], t)
    assert softmax_probability(one, larger[None], t)[0] <= before[0] * (1 + 1e-4) + 1e-9


def test_the_extremes_neither_overflow_nor_cancel() -> None:
    one = np.array([1.0, -1.0], dtype=np.float32)
    p = softmax_probability(one, np.array([[-1.0], [1.0]], dtype=np.float32), 1e-3)
    np.testing.assert_array_equal(p, [1.0, 0.0])


def test_no_data_stays_no_data() -> None:
    s = np.array([np.nan, 0.3], dtype=np.float32)
    background = np.array([[0.1, 0.2], [np.nan, 0.2]], dtype=np.float32)
    assert np.isnan(softmax_probability(s, background, 0.05)).all()


def test_bad_arguments_are_refused() -> None:
    one = np.zeros(1, dtype=np.float32)
    with pytest.raises(ValueError, match="temperature 0 is not above 0"):
        softmax_probability(one, one[None], 0)
    with pytest.raises(ValueError, match=r"expected \(\.\.\.,\) and \(\.\.\., n\)"):
        softmax_probability(one, np.zeros((2, 3), dtype=np.float32), 0.1)
    with pytest.raises(QueryError, match="no background is left"):
        softmax_probability(one, np.zeros((1, 0), dtype=np.float32), 0.1)


def test_near_synonyms_are_dropped_by_their_cosine() -> None:
    query = np.array([3.0, 0.0], dtype=np.float32)
    background = np.array([[2, 0], [1, 1], [0, 5], [-1, 0], [0, 0]], dtype=np.float32)
    keep = drop_near_synonyms(query, background, 0.7)
    np.testing.assert_array_equal(keep, [False, False, True, True, True])
    assert drop_near_synonyms(query, background, 0.71).tolist() == [
        False,
        True,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_a_block_is_scored_as_its_cells_would_be(dtype: str) -> None:
    rng = np.random.default_rng(3)
    values = unit(rng, 2, 9, 7, 16).astype(dtype)
    values[:, 0, 0] = np.nan
    query, background = unit(rng, 16), unit(rng, 11, 16)
    p, s = score_one(values, query, background, SoftmaxMethod(0.05))
    assert p.shape == s.shape == (2, 9, 7)
    np.testing.assert_allclose(s, similarity(values, query[None])[..., 0], atol=1e-6)
    expected = softmax_probability(s, similarity(values, background), 0.05)
    np.testing.assert_allclose(p, expected, rtol=1e-4)
    assert np.isnan(p[:, 0, 0]).all()
    assert np.isfinite(p[:, 1:]).all()


def test_concepts_together_are_as_each_alone() -> None:
    rng = np.random.default_rng(4)
    values, queries, background = (
        unit(rng, 1, 50, 40, 12),
        unit(rng, 3, 12),
        unit(rng, 9, 12),
    )
    keep = rng.random((3, 9)) < 0.6
    keep[:, 0] = True
    p, s = score_concepts(values, queries, background, keep, SoftmaxMethod(0.07))
    for i in range(3):
        alone = score_one(values, queries[i], background[keep[i]], SoftmaxMethod(0.07))
        np.testing.assert_allclose(p[i], alone[0], rtol=1e-4)
        np.testing.assert_allclose(s[i], alone[1], atol=1e-6)


def test_methods_name_themselves() -> None:
    methods: list[ProbabilityMethod] = [SoftmaxMethod(0.05), SimilarityMethod()]
    assert [m.name for m in methods] == ["softmax", "similarity"]
    assert [m.label for m in methods] == ["softmax, uncalibrated", "similarity"]
    rng = np.random.default_rng(5)
    values, query = unit(rng, 4, 6), unit(rng, 6)
    p, s = score_one(values, query, unit(rng, 0, 6), SimilarityMethod())
    np.testing.assert_array_equal(p, s)


def test_memory_does_not_grow_with_cells_times_background() -> None:
    rng = np.random.default_rng(6)
    cells, n = 60_000, 300
    values = rng.normal(size=(1, cells, 8)).astype(np.float16)
    query, background = unit(rng, 8), unit(rng, n, 8)
    tracemalloc.start()
    score_one(values, query, background, SoftmaxMethod(0.05))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 25e6 < cells * n * 4
