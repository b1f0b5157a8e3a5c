"""A concept's layer: what it is called and between which values it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_maps import make_grid, make_layers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from s2s_map.scoring.layers import ConceptLayer, display_range


def test_bands_name_the_method() -> None:
    (layer,) = make_layers(make_grid(), count=1)
    assert layer.band_descriptions == (
        "birdsong: probability (softmax, uncalibrated)",
        "birdsong: cosine similarity",
    )
    plain = ConceptLayer("a", "owl", {}, layer.similarity, layer.similarity, method="similarity")
    assert plain.probability_label == "cosine similarity (no probability)"


def test_a_slot_is_a_layer() -> None:
    (layer,) = make_layers(make_grid(), count=1, slots=3)
    one = layer.slot(2)
    assert one.shape == (1, *layer.shape[1:])
    np.testing.assert_array_equal(one.probability[0], layer.probability[2])


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
