"""Holes add up; blocks of imagery refuse what does not belong together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.arrays import Hole, ImageBlock, joined_pieces, merge_holes

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


runs = st.builds(
    lambda row, first, many: (14, row, first, first + many),
    st.integers(0, 2), st.integers(0, 20), st.integers(1, 6),
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("ab"), st.lists(runs, max_size=4)), max_size=5))
def test_a_piece_counts_once_whoever_missed_it(missed: list[tuple[str, list[object]]]) -> None:
    def columns(pieces: object) -> set[tuple[int, int]]:
        return {(row, x) for _, row, a, b in pieces for x in range(a, b)}  # type: ignore[attr-defined]

    found = []
    for uri, pieces in missed:
        joined = joined_pieces(pieces)  # type: ignore[arg-type]
        assert columns(joined) == columns(pieces)
        found.append(Hole("gone", uri, len(columns(joined)), joined))
    merged = merge_holes(found)
    for hole in merged:
        there = set().union(*(columns(h.pieces) for h in found if h.uri == hole.uri))
        assert hole.count == len(there)
        assert columns(hole.pieces) == there
    assert merge_holes(merged) == merged


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mask is \(2, 3\), its pixels \(2, 2\)"):
        ImageBlock(np.zeros((3, 2, 2), np.uint8), np.zeros((2, 3), np.bool_))
