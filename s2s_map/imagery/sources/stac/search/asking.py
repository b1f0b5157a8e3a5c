"""Asking for parts of a search within a host's manners, smaller where they fail."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from s2s_map.catalog.stac_items import Item, kept
from s2s_map.catalog.stac_search import Manners, PartError, StacApi
from s2s_map.config.cache_folder import cache_folder
from s2s_map.config.stac import StacEntry
from s2s_map.errors import SearchIncompleteError
from s2s_map.imagery.rate_limits.host_limits import Breaker, wait_s
from s2s_map.imagery.rate_limits.shared_turns import DayIsUsedUpError, Turns
from s2s_map.imagery.sources.stac.search.parts import LEAST_DEGREES, LEAST_PAGE, Part
from s2s_map.imagery.stopping import pause
from s2s_map.redaction import redacted

_PAUSE_S = 0.05
_AT_FLOOR = 2


@dataclass(frozen=True)
class SearchHole:
    """A part of a search that was not answered.

    Attributes:
        box: (west, south, east, north) in degrees.
        interval: start/end.
        reason: Why, and what was tried.
    """

    box: tuple[float, float, float, float]
    interval: str
    reason: str

    def __str__(self) -> str:
        west, south, east, north = self.box
        place = f"[{west:.3f}, {south:.3f}, {east:.3f}, {north:.3f}]"
        return f"{place} {self.interval.replace('T00:00:00.000000Z', '')}"


class Asking:
    """Asks one API for parts, from several threads.

    Args:
        entry: The catalog entry.
        stop: Ends waiting once set.

    Raises:
        ImageryError: If the API does not answer as one.
    """

    def __init__(self, entry: StacEntry, stop: threading.Event) -> None:
        self._entry, self._stop = entry, stop
        self._host = urlsplit(entry.url).netloc.rpartition("@")[2]
        self._lock = threading.Lock()
        self._breaker = Breaker()
        self._page: int | None = None
        # The same file as that of web tiles: a host is one for both.
        self._turns = Turns(cache_folder("web") / "turns.sqlite")
        manners = Manners(self._await_turn, self._hold, entry.manners.timeout_s)
        self._api = StacApi(entry, manners)

    def close(self) -> None:
        """Close what the account of turns is kept in."""
        self._turns.close()

    def answered(self, part: Part) -> tuple[list[Item], list[SearchHole]]:
        """Return the items of a part, and what of it could not be had however small.

        Raises:
            ImageryError: If the API refuses.
            SearchIncompleteError: If the host is left alone.
            ReadStoppedError: If the event is set.
        """
        found: dict[str, Item] = {}
        holes: list[SearchHole] = []
        # Last in, first out: of a server that answers nothing the floor is reached soon.
        waiting, lives = [part], False
        while waiting:
            asked = waiting.pop()
            if self._page is not None and asked == part:
                asked = replace(asked, page=min(asked.page, self._page))
            try:
                items = self._patiently(asked, lives)
            except PartError as error:
                smaller = asked.halved(error.kind)
                waiting.extend(reversed(smaller))
                if not smaller:
                    holes.append(SearchHole(asked.box, asked.interval, _tried(part, error)))
                continue
            lives = True
            if asked.page < part.page and asked.box == part.box and asked.interval == part.interval:
                # So large pages are too large for this server: others need not find out.
                self._page = asked.page
            for item in items:
                found.setdefault(item["id"], item)
        return list(found.values()), holes

    def _patiently(self, part: Part, lives: bool) -> list[Item]:
        """Return the items of a part.

        Args:
            part: The part.
            lives: Whether others of the same failing part were answered: then it is this one that
                is broken, not the host.
        """
        manners, attempt = self._entry.manners, 0
        while True:
            attempt += 1
            token = self._await_breaker()
            try:
                items = self._api.items(part.box, part.interval, part.page)
            except PartError as error:
                busy, floor = error.kind == "busy", not part.halved(error.kind)
                with self._lock:
                    if busy or (floor and not lives):
                        self._breaker = self._breaker.failed(
                            time.monotonic(), manners, error.reason, token=token
                        )
                    else:
                        self._breaker = self._breaker.abandoned(token)
                # At the floor nothing is left but to ask once more.
                attempts = manners.attempts if busy else min(manners.attempts, _AT_FLOOR)
                if not (busy or floor) or attempt >= attempts:
                    raise
                pause(self._stop, wait_s(attempt, None, random.random(), manners))  # noqa: S311
                continue
            except BaseException:
                with self._lock:
                    self._breaker = self._breaker.abandoned(token)
                raise
            with self._lock:
                self._breaker = self._breaker.succeeded()
            return [kept(item, self._entry) for item in items]

    def _await_breaker(self) -> float | None:
        while True:
            pause(self._stop, 0.0)
            with self._lock:
                breaker = self._breaker
                wait = breaker.wait(time.monotonic())
                if breaker.given_up(self._entry.manners):
                    raise SearchIncompleteError(
                        f"the STAC API {redacted(self._entry.url)} is left alone after "
                        f"{breaker.failures} failures in a row, the last: {breaker.reason}",
                        remedy="start it again later: what was found so far is kept",
                    )
                if wait == 0.0:
                    self._breaker = breaker.asked()
                    return breaker.closed_until
            pause(self._stop, _PAUSE_S if wait is None else min(wait, 1.0))

    def _await_turn(self) -> None:
        try:
            pause(self._stop, self._turns.take(self._host, self._entry.manners))
        except DayIsUsedUpError:
            raise SearchIncompleteError(
                f"the {self._entry.manners.per_day} requests a day of {self._host} are made",
                remedy="start it again tomorrow (UTC): what was found so far is kept",
            ) from None

    def _hold(self, seconds: float) -> None:
        self._turns.hold(self._host, min(seconds, self._entry.manners.longest_wait_s))


def _tried(part: Part, error: PartError) -> str:
    return (
        f"{error.reason} (tried: pages of {part.page} to {LEAST_PAGE} scenes, areas down to "
        f"{LEAST_DEGREES:g} degrees, times down to a day)"
    )
