"""The layout of a preview: nothing overlaps, whatever is drawn."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2s_map.viewing.layout import (
    HEADING_SIZE,
    NOTE_SIZE,
    TITLE_PAD,
    TITLE_SIZE,
    Box,
    Layout,
    arrange,
)
from s2s_map.viewing.text import text_width, wrap

LINE = {TITLE_SIZE: 0.155, NOTE_SIZE: 0.145, HEADING_SIZE: 0.27}
texts = st.text(st.characters(codec="latin-1", exclude_categories=["C"]), min_size=1, max_size=120)


def boxes(layout: Layout) -> list[Box]:
    """Return the box of everything drawn."""
    found: list[Box] = []
    for panel in layout.panels:
        left, bottom, width, height = panel.map
        bar_left, bar_bottom, bar_width, bar_height = panel.bar
        lines = panel.title.split("\n")
        title_width = max(text_width(line, TITLE_SIZE, "bold") for line in lines)
        title = (
            left,
            bottom + height + TITLE_PAD,
            title_width,
            len(lines) * LINE[TITLE_SIZE],
        )
        bar = (bar_left, bar_bottom - panel.below, bar_width, bar_height + panel.below)
        found += [panel.map, title, bar]
    for block, size, weight in (
        (layout.heading, HEADING_SIZE, "bold"),
        (layout.footer, NOTE_SIZE, "normal"),
    ):
        lines = block.text.split("\n")
        width = max(text_width(line, size, weight) for line in lines)
        height = len(lines) * LINE[size]
        found.append((block.left, block.top - height, width, height))
    return found


def overlap(a: Box, b: Box) -> bool:
    return all(a[i] < b[i] + b[i + 2] - 1e-9 and b[i] < a[i] + a[i + 2] - 1e-9 for i in (0, 1))


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    st.lists(texts, min_size=1, max_size=25),
    texts,
    texts,
)
def test_nothing_overlaps_or_leaves_the_page(
    shape: tuple[int, int], titles: list[str], heading: str, note: str
) -> None:
    layout = arrange(shape, titles, heading, "subtitle", [note, note])
    assert len(layout.panels) == len(titles)
    everything = boxes(layout)
    for box in everything:
        assert box[0] >= 0.2
        assert box[1] >= 0.2
        assert box[0] + box[2] <= layout.width - 0.2
        assert box[1] + box[3] <= layout.height - 0.2
    for a, b in combinations(everything, 2):
        assert not overlap(a, b)


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_maps_keep_their_shape(ny: int, nx: int) -> None:
    _, _, width, height = arrange((ny, nx), ["a"], "b", "c", ["d"]).panels[0].map
    if 1 / 100 < ny / nx < 100:
        assert height / width == pytest.approx(ny / nx)


@pytest.mark.parametrize("count", range(1, 26))
def test_pages_are_of_a_pleasant_shape(count: int) -> None:
    layout = arrange((312, 340), ["birds"] * count, "a", "b", ["c"])
    assert 0.5 < layout.width / layout.height < 2.6
    assert layout.width < 26


@settings(max_examples=60, deadline=None)
@given(texts, st.floats(0.5, 6.0))
def test_lines_are_no_wider_than_asked(text: str, width: float) -> None:
    wrapped = wrap(text, width, 9.0)
    assert all(text_width(line, 9.0) <= width for line in wrapped.split("\n"))
    assert "".join(wrapped.split()) == "".join(text.split())


def test_what_is_too_long_is_cut() -> None:
    wrapped = wrap("traffic and car horns in a busy street " * 5, 2.0, 9.0, "bold", most=3)
    lines = wrapped.split("\n")
    assert len(lines) == 3
    assert lines[-1].endswith("…")
    assert all(text_width(line, 9.0, "bold") <= 2.0 for line in lines)
