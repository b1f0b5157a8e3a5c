"""Where the panels of a preview go: arithmetic in inches, so that nothing can overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from s2s_map.viewing.text import wrap

Box = tuple[float, float, float, float]
"""Left, bottom, width, height, inches from the figure's lower left corner."""

HEADING_SIZE, SUBTITLE_SIZE, TITLE_SIZE, NOTE_SIZE = 14.0, 8.5, 9.0, 7.5
"""Font sizes in points."""

TITLE_PAD = 0.07

_MARGIN = 0.35
_GAP_X, _GAP_Y = 0.35, 0.24
_HEADING_LINE, _SUBTITLE_LINE, _TITLE_LINE, _NOTE_LINE = 0.27, 0.2, 0.155, 0.145
_HEAD_GAP = 0.16
_BAR_GAP, _BAR_HEIGHT, _BAR_TEXT = 0.09, 0.1, 0.36
_FOOT_GAP = 0.18
_MAP_AREA = 11.5  # square inches, up to this many panels:
_LARGE_PANELS = 8
_LONGEST_SIDE = 6.0
_LEAST_SIDE = 0.05
# What the label of a colour bar needs.
_LEAST_PANEL = 2.2
_LEAST_WIDTH = 4.8
_MOST_TITLE_LINES = 3
_SHAPE = 1.5  # width to height that screens and pages like


@dataclass(frozen=True)
class Panel:
    """One map.

    Attributes:
        map: Box of the map itself.
        bar: Box of the colour bar below it; what it says below needs `below` inches more.
        title: Wrapped title, left-aligned above the map.
        below: Height reserved under the colour bar for its labels.
    """

    map: Box
    bar: Box
    title: str
    below: float = _BAR_TEXT


@dataclass(frozen=True)
class TextBlock:
    """Wrapped text whose upper left corner is at (left, top), inches."""

    text: str
    left: float
    top: float


@dataclass(frozen=True)
class Layout:
    """A whole figure, in inches.

    Attributes:
        width: Of the figure.
        height: Of the figure.
        heading: Title of the figure.
        subtitle: Line below it.
        panels: In the order of their titles.
        footer: Notes at the bottom.
    """

    width: float
    height: float
    heading: TextBlock
    subtitle: TextBlock
    panels: tuple[Panel, ...]
    footer: TextBlock


def arrange(
    shape: tuple[int, int],
    titles: Sequence[str],
    heading: str,
    subtitle: str,
    notes: Sequence[str],
) -> Layout:
    """Return a layout for maps of one shape beside each other.

    Args:
        shape: Rows and columns of the maps.
        titles: One per panel, at least one.
        heading: Title of the figure.
        subtitle: Line below it.
        notes: Paragraphs below everything.
    """
    map_width, map_height = _map_size(shape[0] / shape[1], len(titles))
    panel_width = max(map_width, _LEAST_PANEL)
    wrapped = [wrap(t, panel_width, TITLE_SIZE, "bold", _MOST_TITLE_LINES) for t in titles]
    below = map_height + _BAR_GAP + _BAR_HEIGHT + _BAR_TEXT
    columns = _columns(len(titles), panel_width + _GAP_X, below + _TITLE_LINE + _GAP_Y)
    width = max(columns * (panel_width + _GAP_X) - _GAP_X, _LEAST_WIDTH)
    heading = wrap(heading, width, HEADING_SIZE, "bold")
    subtitle = wrap(subtitle, width, SUBTITLE_SIZE)
    footer = "\n".join(wrap(note, width, NOTE_SIZE) for note in notes)

    # From the top down, negative; the figure's height is known at the end.
    heading_top = -_MARGIN
    subtitle_top = heading_top - _lines(heading) * _HEADING_LINE
    top = subtitle_top - _lines(subtitle) * _SUBTITLE_LINE - _HEAD_GAP
    boxes: list[tuple[Box, Box]] = []
    for first in range(0, len(titles), columns):
        row = wrapped[first : first + columns]
        bottom = top - max(map(_lines, row)) * _TITLE_LINE - TITLE_PAD - map_height
        for column in range(len(row)):
            left = _MARGIN + column * (panel_width + _GAP_X)
            bar = (left, bottom - _BAR_GAP - _BAR_HEIGHT, panel_width, _BAR_HEIGHT)
            boxes.append(((left, bottom, map_width, map_height), bar))
        top = bottom - (below - map_height) - _GAP_Y
    footer_top = top + _GAP_Y - _FOOT_GAP
    height = -footer_top + _lines(footer) * _NOTE_LINE + _MARGIN
    return Layout(
        width + 2 * _MARGIN,
        height,
        TextBlock(heading, _MARGIN, height + heading_top),
        TextBlock(subtitle, _MARGIN, height + subtitle_top),
        tuple(
            Panel(_raised(on, height), _raised(bar, height), title)
            for (on, bar), title in zip(boxes, wrapped, strict=True)
        ),
        TextBlock(footer, _MARGIN, height + footer_top),
    )


def _lines(text: str) -> int:
    return text.count("\n") + 1


def _raised(box: Box, by: float) -> Box:
    left, bottom, width, height = box
    return left, bottom + by, width, height


def _map_size(aspect: float, panels: int) -> tuple[float, float]:
    """Return width and height of a map, for its height to width and the number of panels."""
    area = _MAP_AREA * min(1.0, max(0.5, _LARGE_PANELS / panels))
    width = math.sqrt(area / aspect)
    height = width * aspect
    scale = min(1.0, _LONGEST_SIDE / max(width, height))
    return max(width * scale, _LEAST_SIDE), max(height * scale, _LEAST_SIDE)


def _columns(count: int, width: float, height: float) -> int:
    """Return the number of columns that gives a pleasant figure with few empty places."""

    def cost(columns: int) -> float:
        rows = math.ceil(count / columns)
        empty = rows * columns - count
        return abs(math.log(columns * width / (rows * height) / _SHAPE)) + 0.25 * empty / columns

    return min(range(1, count + 1), key=cost)
