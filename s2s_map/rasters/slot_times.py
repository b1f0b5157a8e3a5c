"""Times of a nominal year for time slots, which have none: so that QGIS can play them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

YEAR = 2001
"""No leap year, and of no run: slots are of every year."""

_LABEL = re.compile(r"(?:(?P<month>\d{2})(?:-|$))?(?:(?P<hour>\d{2})h(?P<reference>-\w+)?)?")


@dataclass(frozen=True)
class SlotTime:
    """When a time slot is shown.

    Attributes:
        start: First moment, in UTC of the nominal year.
        end: First moment after it.
        animated: Whether the slot has a place on the time line at all.
        group: Slots of several hours and months play by months, those of one hour together: the
            hour's name; empty where all slots play together.
    """

    start: datetime
    end: datetime
    animated: bool = True
    group: str = ""


def slot_times(labels: Sequence[str]) -> list[SlotTime]:
    """Return when each time slot is shown.

    Months last from their first day to the next month's; where slots have hours alone, each lasts
    its hour of the first of January. A slot without a month among others that have one is not
    animated.

    Args:
        labels: Such as ``05-13h``, ``05``, ``13h`` or ``13h-local``, as runs write them.

    Raises:
        ValueError: For a label that no run writes.
    """
    parsed = [_parse(label) for label in labels]
    if not any(month for month, _ in parsed):
        return [_of_hour(hour) for _, hour in parsed]
    hours = {hour for month, hour in parsed if month}
    several = len(hours) > 1
    return [_of_month(month, f"{hour or 'any hour'}" if several else "") for month, hour in parsed]


def time_step(times: Sequence[SlotTime]) -> str:
    """Return the step of the animation as QGIS encodes it, ``mon`` or ``h``."""
    return "h" if all(time.end - time.start <= timedelta(hours=1) for time in times) else "mon"


def _parse(label: str) -> tuple[int, str]:
    """Return month, 0 if none, and hour with its reference, empty if none."""
    match = _LABEL.fullmatch(label)
    if match is None:
        raise ValueError(f"{label!r} is no label of a time slot")
    hour = f"{match['hour']}h{match['reference'] or ''}" if match["hour"] else ""
    return int(match["month"] or 0), hour


def _of_hour(hour: str) -> SlotTime:
    start = datetime(YEAR, 1, 1, int(hour[:2]), tzinfo=UTC)
    return SlotTime(start, start + timedelta(hours=1))


def _of_month(month: int, group: str) -> SlotTime:
    if not month:
        nowhere = datetime(YEAR, 1, 1, tzinfo=UTC)
        return SlotTime(nowhere, nowhere, animated=False, group=group)
    start = datetime(YEAR, month, 1, tzinfo=UTC)
    following = datetime(YEAR + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return SlotTime(start, following, group=group)
