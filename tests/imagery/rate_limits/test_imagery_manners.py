"""Schedules and states of good manners, without clock or network."""

from __future__ import annotations

import itertools
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.config.webtiles import MannersConfig
from s2s_map.imagery.rate_limits.host_limits import Breaker, reserve, retry_after_s, wait_s
from s2s_map.imagery.rate_limits.shared_turns import DayIsUsedUpError, Turns
from s2s_map.imagery.requests import Requests

NOW = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("\u00b2", None),
        ("Wed, 01 May 2024 12:02:00 GMT", 120.0),
        ("Wed, 01 May 2024 14:02:00 +0200", 120.0),
        ("Wed, 01 May 2024 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms(said: str | None, seconds: float | None) -> None:
    assert retry_after_s(said, NOW) == seconds


@given(attempt=st.integers(1, 10), asked=st.floats(0.0, 50.0), chance=st.floats(0.0, 1.0))
def test_waits_are_bounded_and_never_shorter_than_asked(
    attempt: int, asked: float, chance: float
) -> None:
    manners = MannersConfig(first_wait_s=1.0, longest_wait_s=60.0)
    wait = wait_s(attempt, asked, chance, manners)
    assert asked <= wait <= 60.0
    assert wait >= min(30.0, 0.5 * 2.0 ** (attempt - 1))


@given(
    steps=st.lists(st.floats(0.0, 2.0), min_size=2, max_size=50), per_second=st.floats(0.5, 50.0)
)
def test_turns_are_never_closer_than_the_rate_allows(steps: list[float], per_second: float) -> None:
    free_at, now, turns = 0.0, 1000.0, []
    for step in steps:
        now += step
        free_at, wait = reserve(free_at, now, per_second)
        turns.append(now + wait)
    gaps = [b - a for a, b in itertools.pairwise(turns)]
    assert min(gaps) >= 1.0 / per_second - 1e-6


def test_a_breaker_rests_tries_and_gives_up() -> None:
    manners = MannersConfig(breaker_failures=2, breaker_rest_s=10.0, breaker_rests=1)
    breaker = Breaker().failed(0.0, manners, "a")
    assert breaker.wait(0.0) == 0.0
    breaker = breaker.failed(1.0, manners, "b")
    assert breaker.wait(2.0) == 9.0
    assert not breaker.given_up(manners)
    # One request tries; others wait for what it finds.
    trying, token = breaker.asked(), breaker.closed_until
    assert trying.wait(11.0) is None
    assert trying.succeeded().wait(11.0) == 0.0
    assert trying.abandoned(token).wait(11.0) == 0.0
    # A request from before the rest, failing late, is not the one that tries.
    late = trying.failed(11.0, manners, "late", token=None)
    assert late.wait(11.0) is None
    assert late.rests == trying.rests
    assert trying.abandoned(None).wait(11.0) is None
    again = trying.failed(11.0, manners, "c", token=token)
    assert again.given_up(manners)
    assert again.wait(12.0) == 19.0
    assert again.reason == "c"
    # A wrong key is given up without a rest to try.
    refused = Breaker().failed(0.0, manners, "401", for_good=True)
    assert refused.failed(0.0, manners, "401", for_good=True).given_up(manners)


def test_turns_are_shared_and_days_are_counted(tmp_path: Path) -> None:
    manners = MannersConfig(per_second=10.0, per_day=3)
    one, other = Turns(tmp_path / "turns.sqlite"), Turns(tmp_path / "turns.sqlite")
    assert one.take("https://a.test", manners) == 0.0
    assert 0.0 < other.take("https://a.test", manners) <= 0.1
    assert one.take("https://b.test", manners) == 0.0
    other.hold("https://a.test", 30.0)
    assert 29.0 < one.take("https://a.test", manners) <= 30.2
    with pytest.raises(DayIsUsedUpError):
        other.take("https://a.test", manners)
    one.close()
    other.close()


def test_turns_without_a_file_are_each_process_s_own() -> None:
    turns = Turns(Path("/proc/nowhere/turns.sqlite"))
    assert turns.take("https://a.test", MannersConfig()) == 0.0
    turns.close()


def test_a_warning_only_beyond_a_day() -> None:
    assert Requests(10, 10, "web tiles", kept=10).warnings == ()
    (warning,) = Requests(25_000_000, 1_728_000, "web tiles of level 18").warnings
    assert "14.5 days" in warning
    (warning,) = Requests(10, 10, "web tiles", kept=9).warnings
    assert "cache: max_gb" in warning


def test_turns_that_cannot_be_kept_any_more_go_on_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manners = MannersConfig(per_second=10.0, per_day=3)
    turns = Turns(tmp_path / "turns.sqlite")
    turns.take("https://a.test", manners)
    turns.take("https://a.test", manners)
    with sqlite3.connect(tmp_path / "turns.sqlite") as database:
        database.execute("DROP TABLE hosts")
    turns.take("https://a.test", manners)
    # What was counted so far still counts, and it is said once.
    with pytest.raises(DayIsUsedUpError):
        turns.take("https://a.test", manners)
    assert len([r for r in caplog.records if "own account" in r.getMessage()]) == 1
    turns.close()
    database.close()
