"""Holes add up; blocks of imagery refuse what does not belong together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.arrays import Hole, ImageBlock, merge_holes

holes = st.builds(
    Hole, st.sampled_from(["gone", "broken"]), st.sampled_from("abc"), st.integers(1, 5)
)


@given(st.lists(holes))
def test_merging_keeps_every_count(found: list[Hole]) -> None:
    merged = merge_holes(found)
    assert sum(h.count for h in merged) == sum(h.count for h in found)
    assert len({(h.uri, h.reason) for h in merged}) == len(merged)
    assert merge_holes([*merged]) == merged
    assert merge_holes(reversed(found)) == merged


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mask is \(2, 3\), its pixels \(2, 2\)"):
        ImageBlock(np.zeros((3, 2, 2), np.uint8), np.zeros((2, 3), np.bool_))
