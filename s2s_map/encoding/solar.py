"""From the hour of a time slot to the local solar hour at a place."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.metadata import MetadataConfig, TimeSlot

YEAR = 2024
"""The year whose clock changes count for `hour_reference: local`."""


def solar_hours(
    slot: TimeSlot, settings: MetadataConfig, longitude: NDArray[np.float64]
) -> NDArray[np.int64] | None:
    """Return the whole local solar hour of a time slot at each place.

    Mean solar time: UTC plus longitude / 15 degrees, to the nearest hour. The equation of time,
    at most 17 minutes, is below the hours that the model was trained with. A local clock's
    distance from UTC is that of noon on the 15th of the slot's month (without month: its standard
    time) in 2024, so that summer time counts.

    Args:
        slot: Month and hour.
        settings: What the hour is meant in.
        longitude: Degrees east, shape (n,).

    Returns:
        0 to 23, shape (n,); None for a slot without hour.
    """
    if slot.hour is None:
        return None
    if settings.hour_reference == "solar":
        return np.full(longitude.shape, slot.hour, dtype=np.int64)
    utc = slot.hour - (_clock_ahead(settings.time_zone, slot.month) if settings.time_zone else 0.0)
    # Half past the hour stands for the hour; its floor is the nearest hour of the start.
    return np.floor(utc + 0.5 + longitude / 15.0).astype(np.int64) % 24


def _clock_ahead(zone: str, month: int | None) -> float:
    """Return how many hours a zone's clock is ahead of UTC."""
    noon = datetime(YEAR, month or 1, 15, 12, tzinfo=ZoneInfo(zone))
    ahead = noon.utcoffset()
    saving = noon.dst()
    if ahead is None:  # pragma: no cover  (a ZoneInfo always has one)
        return 0.0
    if month is None and saving:
        ahead -= saving
    return ahead.total_seconds() / 3600
