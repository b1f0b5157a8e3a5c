"""Source values to 8 bit."""

from __future__ import annotations

import numpy as np

from s2s_map.config.catalog import ValueScale
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
