"""Month and hour out of messy dates."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.datasets.dates import month_and_hour


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2014-07-02 18:30:00.0", (7, 18)),
        ("2014-07-02", (7, None)),
        ("2016:05:21 06:10:00", (5, 6)),
        ("2010-08-24T05:00:00+02:00", (8, 5)),
        ("Sat Nov 06 2021 09:15:21 PST", (11, 9)),
        ("March 2011", (3, None)),
        ("31.12.2012", (12, None)),
        ("12/31/2012 7 pm", (12, 19)),
        ("3/4/2015", (None, None)),
        ("4/4/2015", (4, None)),
        ("2012", (None, None)),
        ("0000-00-00 00:00:00", (None, None)),
        ("null", (None, None)),
        ("some day in spring", (None, None)),
        ("", (None, None)),
        (None, (None, None)),
        (float("nan"), (None, None)),
        ("9" * 60, (None, None)),
    ],
)
def test_dates(text: object, expected: tuple[int | None, int | None]) -> None:
    assert month_and_hour(text) == expected


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)))
def test_iso_dates_are_read_whole(moment: datetime) -> None:
    assert month_and_hour(moment.isoformat()) == (moment.month, moment.hour)
    assert month_and_hour(str(moment.date())) == (moment.month, None)


@given(st.text(max_size=80))
def test_no_text_is_an_error(text: str) -> None:
    month, hour = month_and_hour(text)
    assert month is None or 1 <= month <= 12
    assert hour is None or 0 <= hour <= 23
