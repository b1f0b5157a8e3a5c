"""Month and hour out of dates as people and machines wrote them."""

from __future__ import annotations

import re
from datetime import datetime

# Fields that a text does not say are taken from a default: what differs was not said.
_DEFAULTS = (datetime(2000, 1, 1, 1), datetime(2001, 2, 2, 2))
_CAMERA = re.compile(r"^\s*(\d{4}):(\d{2}):(\d{2})\b")
_YEAR_FIRST = re.compile(r"\s*\d{4}\D")
_NUMBERS = re.compile(r"\s*\d{1,2}\s*[./-]\s*\d{1,2}\s*[./-]\s*\d{2,4}\b")


def month_and_hour(text: object) -> tuple[int | None, int | None]:
    """Read month (1 to 12) and hour (0 to 23, as written) of a date; None where it says neither.

    What does not parse, or can be read in two ways (3/4/2015), gives no month.

    Args:
        text: A date in any form, or anything else.

    Examples:
        >>> month_and_hour("2014-07-02 18:30:00")
        (7, 18)
        >>> month_and_hour("March 2011")
        (3, None)
        >>> month_and_hour("some day in spring")
        (None, None)
    """
    if isinstance(text, datetime):
        return text.month, text.hour
    if not isinstance(text, str) or not text.strip() or len(text) > 64:
        return None, None
    text = _CAMERA.sub(r"\1-\2-\3", text)  # as cameras write it
    first, second = (_parse(text, default, day_first=False) for default in _DEFAULTS)
    if first is None or second is None or not 1800 <= first.year <= 2200:
        return None, None
    month = first.month if first.month == second.month else None
    hour = first.hour if first.hour == second.hour else None
    if month is not None and not _YEAR_FIRST.match(text) and _NUMBERS.match(text):
        other = _parse(text, _DEFAULTS[0], day_first=True)
        month = month if other is not None and other.month == month else None
    return month, hour


def _parse(text: str, default: datetime, *, day_first: bool) -> datetime | None:
    from dateutil import parser

    try:
        # The hour is wanted as it was on the clock beside the recorder.
        found = parser.parse(text, default=default, dayfirst=day_first, ignoretz=True)
    except (ValueError, OverflowError, TypeError):
        return None
    return found if isinstance(found, datetime) else None
