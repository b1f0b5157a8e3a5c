"""Text wrapped by its real width, so that no title runs into its neighbour."""

from __future__ import annotations

from functools import lru_cache

_POINTS_PER_INCH = 72.0
_CUT = " …"


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width in inches of one line of text in the preview's font.

    Args:
        text: One line.
        size: Font size in points.
        weight: normal or bold.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / _POINTS_PER_INCH


def wrap(text: str, width: float, size: float, weight: str = "normal", most: int = 0) -> str:
    """Return text broken into lines no wider than `width` inches.

    Args:
        text: Any text; white space becomes single spaces.
        width: Inches.
        size: Font size in points.
        weight: normal or bold.
        most: Lines at most, the last one cut with an ellipsis; 0 for as many as needed.
    """
    lines: list[str] = []
    line = ""
    for word in text.split():
        for part in _pieces(word, width, size, weight):
            longer = f"{line} {part}" if line else part
            if line and text_width(longer, size, weight) > width:
                lines.append(line)
                line = part
            else:
                line = longer
    lines.append(line)
    if most and len(lines) > most:
        last = lines[most - 1]
        while last and text_width(last + _CUT, size, weight) > width:
            last = last[:-1].rstrip()
        lines = [*lines[: most - 1], last + _CUT]
    return "\n".join(lines)


def _pieces(word: str, width: float, size: float, weight: str) -> list[str]:
    """Return a word, or its parts where it is wider than a line by itself."""
    if text_width(word, size, weight) <= width:
        return [word]
    pieces, piece = [], ""
    for letter in word:
        if piece and text_width(piece + letter, size, weight) > width:
            pieces.append(piece)
            piece = ""
        piece += letter
    return [*pieces, piece]
