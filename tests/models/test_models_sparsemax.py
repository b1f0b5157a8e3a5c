"""Sparsemax against its definition by sorting."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from s2s_map.models.sparsemax import _descending, sparsemax

ROWS = arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 40)),
    elements=st.floats(-1e3, 1e3, width=32),
)


def by_sorting(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Definition: tau from the largest k whose sorted prefix stays above it."""
    ordered = -np.sort(-scores, axis=-1)
    sums = ordered.cumsum(axis=-1)
    ranks = np.arange(1, scores.shape[-1] + 1)
    count = (1 + ranks * ordered > sums).sum(axis=-1, keepdims=True)
    tau = (np.take_along_axis(sums, count - 1, axis=-1) - 1) / count
    return np.maximum(scores - tau, 0)


FEW_LEVELS = arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 40)),
    elements=st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5]),
)
"""Rows with many ties."""


@given(
    scores=ROWS | FEW_LEVELS,
    scale=st.sampled_from([1.0, 0.1, 1e-3]),
    largest=st.sampled_from([1, 2, 3, 8, 39, 40, 256]),
)
@settings(max_examples=300, deadline=None)
def test_it_is_the_sorted_definition(
    scores: NDArray[np.float64], scale: float, largest: int
) -> None:
    """However few scores are sorted: rows that need more fall back."""
    found = sparsemax(torch.from_numpy(scores * scale), largest).numpy()
    np.testing.assert_allclose(found, by_sorting(scores * scale), atol=1e-9)


@given(value=st.floats(-1e6, 1e6), count=st.integers(1, 600), largest=st.integers(1, 300))
@settings(max_examples=50, deadline=None)
def test_equal_scores_share_alike(value: float, count: int, largest: int) -> None:
    scores = torch.full((2, count), value)
    torch.testing.assert_close(
        sparsemax(scores, largest), torch.full((2, count), 1 / count), rtol=1e-4, atol=0
    )


def test_rows_that_need_more_than_the_largest_leave_the_others_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 2, 1000, generator=generator, dtype=torch.float64)
    scores[1] *= 1e-4
    found = sparsemax(scores, 64)
    assert (found[1] > 0).sum(dim=-1).min() > 64
    np.testing.assert_allclose(found.numpy(), by_sorting(scores.numpy()), atol=1e-9)


@given(scores=ROWS)
@settings(max_examples=100, deadline=None)
def test_weights_are_a_share_of_one_in_float32(scores: NDArray[np.float64]) -> None:
    found = sparsemax(torch.from_numpy(scores).float())
    assert found.dtype == torch.float32
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(dim=-1).numpy(), 1, atol=1e-4)


@given(scores=ROWS, shift=st.floats(-100, 100))
@settings(max_examples=50, deadline=None)
def test_a_constant_changes_nothing(scores: NDArray[np.float64], shift: float) -> None:
    tensor = torch.from_numpy(scores)
    torch.testing.assert_close(sparsemax(tensor + shift), sparsemax(tensor), rtol=0, atol=1e-9)


def test_many_near_equal_scores_end() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = 1e-7 * torch.randn(8, 16000, generator=generator)
    np.testing.assert_allclose(sparsemax(scores).sum(dim=1).numpy(), 1, atol=1e-3)
    torch.testing.assert_close(sparsemax(torch.zeros(2, 5)), torch.full((2, 5), 0.2))


def test_gradient_is_that_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 7, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(sparsemax, (scores,))


@given(scores=ROWS | FEW_LEVELS, single=st.booleans())
def test_what_numpy_sorts_is_what_torch_sorts(scores: NDArray[np.float64], single: bool) -> None:
    given = torch.from_numpy(scores).to(torch.float32 if single else torch.float64)
    expected = given.sort(dim=1, descending=True).values
    assert torch.equal(_descending(given), expected)
    assert torch.equal(_descending(given.to(torch.bfloat16)), expected.to(torch.bfloat16))
