"""Times and intervals as configs write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time


def parse_time(text: str) -> tuple[datetime, datetime]:
    """Return start and end of an ISO 8601 date, time or interval ``start/end``.

    A date alone lasts the whole day, to its last microsecond. Where one of both names its zone, the
    other is of UTC; times without zone stay so and mean UTC.

    Raises:
        ValueError: For anything else, or an end before its start.
    """
    start_text, _, end_text = text.partition("/")
    start, end = _instant(start_text, False), _instant(end_text or start_text, True)
    if (start.tzinfo is None) != (end.tzinfo is None):
        start, end = in_utc(start), in_utc(end)
    if end < start:
        raise ValueError(f"the interval {text} ends before it starts")
    return start, end


def in_utc(instant: datetime) -> datetime:
    """Return a time in UTC; one without zone is of UTC already."""
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def _instant(text: str, is_end: bool) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an ISO 8601 date or time, such as 2020-05-18") from None
    if is_end and re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", text):
        instant = datetime.combine(instant, time.max)
    return instant
