"""Where time slots lie in a nominal year."""

from __future__ import annotations

import pytest

from s2s_map.config.metadata import MetadataConfig, TimeSlot
from s2s_map.rasters.slot_times import slot_times, time_step


@pytest.mark.parametrize("reference", ["solar", "utc", "local"])
def test_every_label_that_runs_write_has_a_time(reference: str) -> None:
    slots = [TimeSlot(month=month, hour=hour) for month in range(1, 13) for hour in (0, 23)]
    zone = {"time_zone": "Europe/Zurich"} if reference == "local" else {}
    labels = MetadataConfig(time_slots=slots, hour_reference=reference, **zone).slot_labels
    times = slot_times(labels)
    assert [time.start.month for time in times] == [slot.month for slot in slots]
    assert [int(time.group[:2]) for time in times] == [slot.hour for slot in slots]
    assert all((time.end - time.start).days in (28, 30, 31) for time in times)
    assert time_step(times) == "mon"


def test_hours_alone_lie_in_a_day_and_months_of_one_hour_are_one_group() -> None:
    hours = slot_times(["00h", "23h"])
    assert [(time.start.hour, time.end.hour) for time in hours] == [(0, 1), (23, 0)]
    assert time_step(hours) == "h"
    assert {time.group for time in slot_times(["05-13h", "06-13h"])} == {""}


def test_a_slot_without_a_month_among_months_stands_still() -> None:
    month, hour = slot_times(["05", "13h"])
    assert month.animated
    assert not hour.animated


def test_no_label() -> None:
    with pytest.raises(ValueError, match="'x' is no label"):
        slot_times(["x"])
