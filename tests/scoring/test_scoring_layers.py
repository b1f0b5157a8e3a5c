"""A concept's layer: what it is called and between which values it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_maps import make_grid, make_layers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from s2s_map.scoring.layers import ConceptLayer
from s2s_map.scoring.summary import BandStatistics, LayerSummary, display_range


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
    assert summary.colour_range == display_range(np.asarray(layer.probability))
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
        hnp.array_shapes(),
        elements=st.floats(0, 1, width=32) | st.just(np.nan),
    )
)
def test_a_ramp_has_two_ends(values: NDArray[np.float32]) -> None:
    low, high = display_range(values)
    assert low < high
    assert np.isfinite([low, high]).all()


def test_range_is_the_percentiles() -> None:
    values = np.append(np.linspace(0, 1, 101), np.nan).astype(np.float32)
    assert display_range(values) == pytest.approx((0.02, 0.98))
    # Nearly all cells are equal: the percentiles are too, so the extremes are taken.
    rare = np.zeros(1000, dtype=np.float32)
    rare[0] = 0.5
    assert display_range(rare) == (0.0, 0.5)
