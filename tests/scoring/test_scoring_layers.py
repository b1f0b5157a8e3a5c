"""A concept's layer: what it is called and between which values it is drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fixtures_maps import make_grid, make_layers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from s2s_map.scoring.layers import FLOOR, NOWHERE, ConceptLayer
from s2s_map.scoring.summary import BandStatistics, LayerSummary


def test_bands_name_the_method() -> None:
    (layer,) = make_layers(make_grid(), count=1)
    assert layer.band_descriptions == (
        "birdsong: probability (softmax, uncalibrated)",
        "birdsong: cosine similarity",
    )
    plain = ConceptLayer("a", "owl", {}, layer.similarity, layer.similarity, method="similarity")
    assert plain.probability_label == "cosine similarity (no probability)"


@given(
    hnp.arrays(
        np.float32,
        st.integers(1, 60),
        elements=st.floats(-5, 5, width=32) | st.just(np.nan),
    ),
    st.integers(0, 60),
)
def test_statistics_add_up(values: NDArray[np.float32], cut: int) -> None:
    whole = BandStatistics.of(values)
    both = BandStatistics.of(values[:cut]) + BandStatistics.of(values[cut:])
    assert (both.cells, both.valid) == (whole.cells, whole.valid)
    assert (both.minimum, both.maximum) == (whole.minimum, whole.maximum)
    assert both.mean == pytest.approx(whole.mean, abs=1e-12)
    assert both.stddev == pytest.approx(whole.stddev, abs=1e-7)


def test_a_summary_read_by_strips_is_that_of_the_whole() -> None:
    (layer,) = make_layers(make_grid((1300, 900)), count=1, slots=4)
    summary = layer.summary
    # More than 4 million cells: every k-th is taken across strips and slots.
    cells = np.asarray(layer.probability).reshape(-1)
    cells = cells[:: cells.size // 4_000_000]
    expected = np.percentile(cells[np.isfinite(cells)], (2, 98))
    assert summary.colour_range == pytest.approx(expected, rel=1e-6)
    for slot in range(4):
        values = layer.similarity[slot].astype(np.float64)
        one = summary.similarity[slot]
        assert one.mean == pytest.approx(np.nanmean(values), rel=1e-12)
        assert one.stddev == pytest.approx(np.nanstd(values), rel=1e-12)
        assert one.valid == np.isfinite(values).sum()
    assert LayerSummary.from_dict(summary.as_dict()) == summary


@pytest.mark.parametrize("name", ["", "../a", "a b", ".hidden", "ä"])
def test_a_name_must_be_a_file_name(name: str) -> None:
    cells = np.zeros((1, 2, 2), dtype=np.float32)
    with pytest.raises(ValueError, match="cannot name a file"):
        ConceptLayer(name, "title", {}, cells, cells)


def test_both_arrays_have_one_shape() -> None:
    cells = np.zeros((1, 2, 2), dtype=np.float32)
    with pytest.raises(ValueError, match=r"one shape \(time, y, x\)"):
        ConceptLayer("a", "title", {}, cells, cells[0])


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=3, max_dims=3),
        elements=st.floats(0, 1, width=32) | st.just(np.nan),
    )
)
def test_a_ramp_has_two_ends(values: NDArray[np.float32]) -> None:
    low, high = LayerSummary.of(values, values).colour_range
    assert low < high
    assert np.isfinite([low, high]).all()


def test_range_is_the_percentiles() -> None:
    values = np.append(np.linspace(0, 1, 101), np.nan).astype(np.float32)
    assert _colour_range(values) == pytest.approx((0.02, 0.98))
    # Nearly all cells are equal: the percentiles are too, so the extremes are taken.
    rare = np.zeros(1000, dtype=np.float32)
    rare[0] = 0.5
    assert _colour_range(rare) == (0.0, 0.5)


def _colour_range(values: NDArray[np.float32]) -> tuple[float, float]:
    cells = values[None, None]
    return LayerSummary.of(cells, cells).colour_range


def _with_background(layer: ConceptLayer, scale: float, size: int = 99) -> ConceptLayer:
    """A layer of these probabilities times `scale`, against so many texts: even share 0.01."""
    softmax = {"vocabulary_size": size + 3, "near_synonyms_dropped": ["a", "b", "c"]}
    cells = np.where(np.isnan(layer.probability[:]), np.nan, np.float32(scale))
    cells = cells * np.linspace(0.5, 1, cells.size, dtype=np.float32).reshape(cells.shape)
    return replace(layer, probability=cells.astype(np.float32), query={"softmax": softmax})


def test_what_nowhere_rises_above_its_background_is_nowhere_likely() -> None:
    (layer,) = make_layers(make_grid(), 1)
    low = _with_background(layer, 0.00008)
    assert low.even_share == 0.01
    assert low.is_nowhere
    assert low.colour_range == (0.0, FLOOR * 0.01)
    assert low.doubts == (NOWHERE,)
    assert low.band_descriptions[0].endswith(NOWHERE)


def test_what_rises_a_little_is_drawn_on_the_floor_and_what_rises_far_on_its_own_range() -> None:
    (layer,) = make_layers(make_grid(), 1)
    middling = _with_background(layer, 0.02)
    assert not middling.is_nowhere
    assert middling.colour_range == (0.0, FLOOR * 0.01)
    assert middling.doubts == ()
    high = _with_background(layer, 0.9)
    assert not high.is_floored
    assert high.colour_range == high.summary.colour_range


def test_a_similarity_has_no_background_to_rise_above() -> None:
    (layer,) = make_layers(make_grid(), 1)
    assert layer.even_share is None
    assert not layer.is_nowhere
    assert layer.colour_range == layer.summary.colour_range


@pytest.mark.parametrize("level", ["unfamiliar", "not understood"])
def test_a_layer_says_that_its_question_is_doubtful(level: str) -> None:
    (layer,) = make_layers(make_grid(), 1)
    doubtful = replace(layer, query={"understood": {"level": level}})
    assert doubtful.doubts == (f"question: {level}",)
    assert f"question: {level}" in doubtful.band_descriptions[0]
    assert level not in doubtful.probability_label
