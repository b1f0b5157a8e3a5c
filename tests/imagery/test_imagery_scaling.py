"""Source values to 8 bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies

from s2s_map.config.scale import MeasuredScale, PercentileScale, ValueScale
from s2s_map.errors import ImageryError
from s2s_map.imagery.scaling import to_8bit


def test_8_bit_is_rounded_and_clipped_only() -> None:
    values = np.array([-3.2, 0.4, 0.6, 127.5, 255.4, 300.0], dtype=np.float32)
    assert to_8bit(values, None).tolist() == [0, 0, 1, 128, 255, 255]


def test_a_scale_maps_its_range_to_0_and_255() -> None:
    values = np.array([-50.0, 0.0, 1500.0, 3000.0, 9000.0], dtype=np.float32)
    assert to_8bit(values, ValueScale(min=0, max=3000)).tolist() == [0, 0, 128, 255, 255]


def test_gamma_above_1_brightens() -> None:
    values = np.array([0.0, 0.25, 1.0], dtype=np.float32)
    assert to_8bit(values, ValueScale(min=0, max=1, gamma=2.0)).tolist() == [0, 128, 255]


def test_each_band_has_its_own_scale() -> None:
    values = np.full((3, 2), 50.0, dtype=np.float32)
    bands = (
        ValueScale(min=0, max=100),
        ValueScale(min=0, max=50),
        ValueScale(min=0, max=100, gamma=2.0),
    )
    assert to_8bit(values, bands).tolist() == [[128, 128], [255, 255], [180, 180]]


def test_a_curve_is_straight_between_its_points() -> None:
    curve = ((0.0, 0.0), (10.0, 200.0), (110.0, 255.0))
    scale = MeasuredScale(curves=(curve, curve, curve))
    values = np.tile(np.array([-5.0, 0.0, 5.0, 10.0, 60.0, 200.0], np.float32), (3, 1))
    assert to_8bit(values, scale)[1].tolist() == [0, 0, 100, 200, 228, 255]


@given(
    gamma=strategies.floats(0.2, 5.0),
    low=strategies.floats(-1e4, 1e4),
    width=strategies.floats(1.0, 1e5),
)
def test_thresholds_are_the_formula(gamma: float, low: float, width: float) -> None:
    scale = ValueScale(min=low, max=low + width, gamma=gamma)
    values = np.linspace(low - width, low + 2 * width, 301).astype(np.float32)
    shares = np.clip((values.astype(np.float64) - scale.min) / (scale.max - scale.min), 0.0, 1.0)
    exact = 255.0 * shares ** (1.0 / gamma)
    found = to_8bit(values, scale).astype(np.float64)
    # A float32 has 24 bits: near 0 the power is steep, so neighbours of a value count, too.
    near = np.spacing(np.abs(values).max(initial=1.0)) / width * 2
    lower = 255.0 * np.clip(shares - near, 0.0, 1.0) ** (1.0 / gamma)
    upper = 255.0 * np.clip(shares + near, 0.0, 1.0) ** (1.0 / gamma)
    assert (np.abs(found - exact) <= 0.502 + (upper - lower)).all()
    assert (np.diff(found) >= 0).all()


def test_what_is_still_to_be_measured_is_said() -> None:
    with pytest.raises(ImageryError, match="measured when a run starts"):
        to_8bit(np.zeros((3, 4), np.float32), PercentileScale())
