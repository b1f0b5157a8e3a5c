"""Hosts that do not answer are left alone for a time: by a clock that the tests set."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from s2s_map.errors import ImageryError
from s2s_map.opening.away_hosts import (
    FAILURES,
    LONGEST_REST_S,
    REST_S,
    AwayHosts,
)
from s2s_map.opening.signs import Signs, waits

WAIT = 15.0


class World:
    """A clock, a host and what is known of it."""

    def __init__(self) -> None:
        self.now, self.asked, self.signs = 0.0, 0, Signs()
        self.hosts = AwayHosts(lambda: self.now)

    def ask(self, answers: bool, *, long: bool = True, host: str = "a.test") -> str:
        """Return how it went: "answered", "failed", or why the host was not asked."""
        before = self.asked
        try:
            with self.hosts.asking(host, "http://a.test/x.tif", lambda: self.signs):
                self.asked += 1
                self.now += WAIT
                if answers:
                    self.signs = replace(self.signs, heard=self.now)
                    return "answered"
                if long:
                    self.signs = replace(self.signs, silent=self.now)
                raise ImageryError("nothing came")
        except ImageryError as error:
            return "failed" if self.asked > before else error.found


def test_a_host_is_left_alone_after_some_waits_and_tried_again() -> None:
    world = World()
    assert [world.ask(False) for _ in range(FAILURES)] == ["failed"] * FAILURES
    for _ in range(100):
        assert "a.test is away, it let 2 readers in a row wait (nothing came)" in world.ask(True)
    assert world.asked == FAILURES
    world.now += REST_S
    assert world.ask(True) == "answered"
    assert [world.ask(False), world.ask(True)] == ["failed", "answered"]


def test_other_hosts_are_asked() -> None:
    world = World()
    for _ in range(FAILURES):
        world.ask(False)
    assert world.ask(True, host="b.test") == "answered"


def test_rests_grow_to_the_longest() -> None:
    world = World()
    for _ in range(FAILURES):
        world.ask(False)
    for times in (1, 2, 4, 8, 16, 32):
        rest = min(times * REST_S, LONGEST_REST_S)
        world.now += rest - 1.0
        assert "away" in world.ask(True)
        world.now += 1.0
        assert world.ask(False) == "failed"


def test_what_fails_at_once_costs_nothing_and_is_not_counted() -> None:
    world = World()
    assert [world.ask(False, long=False) for _ in range(50)] == ["failed"] * 50


def test_a_wait_counts_if_nobody_says_so() -> None:
    world = World()
    for _ in range(FAILURES):
        with world.hosts.asking("a.test", "x", lambda: world.signs):
            world.now += WAIT
            world.signs = replace(world.signs, silent=world.now)
    assert "it did not answer" in world.ask(True)


def test_a_host_that_is_heard_meanwhile_is_not_away() -> None:
    world = World()
    for _ in range(20):
        with world.hosts.asking("a.test", "x", lambda: world.signs):
            world.now += WAIT
            # By another reader.
            world.signs = Signs(heard=world.now, silent=world.now)
    assert world.ask(True) == "answered"


def test_one_reader_tries_for_all() -> None:
    world = World()
    for _ in range(FAILURES):
        world.ask(False)
    world.now += REST_S
    others: list[str] = []
    with world.hosts.asking("a.test", "x", lambda: world.signs):
        thread = threading.Thread(target=lambda: others.append(world.ask(True)))
        thread.start()
        thread.join()
        # The same reader is let through, for what it asks within.
        assert world.ask(True) == "answered"
    assert "a.test is away" in others[0]
    assert world.ask(True) == "answered"


def test_waits_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waits("GDAL_HTTP_TIMEOUT") == 60.0
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "5")
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    assert (waits("GDAL_HTTP_TIMEOUT"), waits("GDAL_HTTP_MAX_RETRY")) == (5.0, 0.0)
    for odd in ("0", "-3", "soon"):
        monkeypatch.setenv("GDAL_HTTP_TIMEOUT", odd)
        assert waits("GDAL_HTTP_TIMEOUT") == 60.0
