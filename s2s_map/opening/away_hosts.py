"""Hosts that do not answer, remembered by this process: one costs a wait, not one a block."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from s2s_map.errors import ImageryError
from s2s_map.opening.signs import Signs

FAILURES = 2
"""How often in a row a host may keep a reader waiting for nothing before it is left alone."""

REST_S, LONGEST_REST_S = 60.0, 600.0
"""How long it is left alone first, and at most: twice as long each time."""


@dataclass(eq=False)
class _Host:
    """What is remembered of a host.

    Attributes:
        failures: Waits for nothing in a row.
        rests: How often it was left alone.
        until: When it may be asked again.
        reason: Why it failed last.
        is_tried: Whether somebody is asking it again at the moment.
    """

    failures: int = 0
    rests: int = 0
    until: float = 0.0
    reason: str = ""
    is_tried: bool = False


class AwayHosts:
    """Hosts that are away.

    Args:
        clock: Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()
        self._asking = threading.local()

    @contextmanager
    def asking(self, host: str, name: str, signs: Callable[[], Signs]) -> Iterator[None]:
        """Ask a host while in the context.

        If a connection brought nothing for as long as a timeout, and the host was not heard by any
        other meanwhile, it was a wait for nothing, also where GDAL says nothing of it. What fails
        at once costs little and is not counted. After `FAILURES` in a row the host is left alone
        for a time, then one reader tries it for all.

        Args:
            host: The host.
            name: What is asked for, for people.
            signs: Returns what there was of the host, by the clock.

        Raises:
            ImageryError: At once, for a host that is away.
        """
        inner = getattr(self._asking, "host", None)
        if inner == host:
            yield
            return
        began = self._enter(host, name)
        self._asking.host = host
        reason = "it did not answer"
        try:
            yield
        except ImageryError as error:
            reason = error.found
            raise
        finally:
            self._asking.host = inner
            self._leave(host, began, signs(), reason)

    def _enter(self, host: str, name: str) -> float:
        with self._lock:
            known, now = self._hosts.get(host), self._clock()
            if known is not None and known.failures >= FAILURES:
                if now < known.until or known.is_tried:
                    raise ImageryError(
                        f"{name} is not asked for: {host} is away, it let {known.failures} readers "
                        f"in a row wait ({known.reason})",
                        remedy="see that its server is well, then run with --retry-holes",
                    )
                known.is_tried = True
            return now

    def _leave(self, host: str, began: float, signs: Signs, reason: str) -> None:
        with self._lock:
            if signs.heard >= began:
                self._hosts.pop(host, None)
                return
            known, now = self._hosts.get(host), self._clock()
            if signs.silent < began:
                if known is not None:
                    known.is_tried = False
                return
            known = known or self._hosts.setdefault(host, _Host())
            known.reason = reason
            if known.failures < FAILURES:
                known.failures += 1
                known.until = now + REST_S
            elif known.is_tried:
                known.rests += 1
                known.until = now + min(REST_S * 2.0**known.rests, LONGEST_REST_S)
                known.is_tried = False


def away_hosts() -> AwayHosts:
    """Return the hosts that are away for this process."""
    return _away_hosts(os.getpid())


@lru_cache(maxsize=1)
def _away_hosts(_process: int) -> AwayHosts:
    return AwayHosts()
