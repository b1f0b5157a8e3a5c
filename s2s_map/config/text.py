"""Which characters a text may hold, and how what was found is shown in one line."""

from __future__ import annotations

import unicodedata

LONGEST_SHOWN = 80
_BREAKS = "\n\r\t\v\f\x1c\x1d\x1e\x85\u2028\u2029"


def text_fault(text: str, *, lines: bool = False) -> str | None:
    """Return what is wrong with the characters of a text; None if nothing is.

    Control characters, halves of surrogate pairs and what Unicode calls no character go into no
    XML, as which GDAL and QGIS keep texts, and some into no file.

    Args:
        text: The text.
        lines: Whether it may have several lines, and tabs.
    """
    if text.isascii() and text.isprintable():
        return None
    for place, character in enumerate(text, 1):
        if character in "\n\r\t":
            if lines:
                continue
            return f"takes one line, without the {_name(character)} at character {place}"
        if (
            character in _BREAKS
            or unicodedata.category(character) in ("Cc", "Cs")
            or _no(character)
        ):
            return f"takes no {_name(character)}, which stands at character {place}"
    return None


def shown(value: object) -> str:
    """Return what was found as a message shows it: in one line, shortened."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits.
        return "a very large number"
    except RecursionError:
        return "something nested very deeply"
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def _no(character: str) -> bool:
    code = ord(character)
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _name(character: str) -> str:
    named = {"\n": "line break", "\r": "line break", "\t": "tab"}
    return named.get(character, f"character U+{ord(character):04X}")


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86400:,.1f} days"
