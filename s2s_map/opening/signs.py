"""Signs of the hosts behind the proxy of this process: bytes that came, waits for nothing."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, replace
from threading import Lock

from s2s_map.opening.redirects import Route

type Connection = tuple[Route, object]

# A tunnel is heard where it says more than it takes to agree on a secret connection.
_AGREED_BYTES = 10_000
_DEFAULTS = {
    "GDAL_HTTP_CONNECTTIMEOUT": 15.0,
    "GDAL_HTTP_TIMEOUT": 60.0,
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
}
# Timeouts of several layers end about together.
_NEARLY = 0.9


def waits(name: str) -> float:
    """Return a timeout in seconds, or the number of retries: GDAL's names, from the environment."""
    try:
        given = float(os.environ[name])
    except (KeyError, ValueError):
        return _DEFAULTS[name]
    # A timeout of 0 is none at all for GDAL.
    return given if given > 0.0 or name == "GDAL_HTTP_MAX_RETRY" else _DEFAULTS[name]


def long_wait() -> float:
    """Return the seconds from which a connection without an answer has cost somebody a wait."""
    return _NEARLY * min(waits("GDAL_HTTP_CONNECTTIMEOUT"), waits("GDAL_HTTP_TIMEOUT"))


@dataclass(frozen=True)
class Signs:
    """What there is of a host, by the monotonic clock.

    Attributes:
        heard: When something came from it last.
        silent: When a connection that brought nothing had cost a long wait, last.
    """

    heard: float = -math.inf
    silent: float = -math.inf


class SignBook:
    """Signs of all routes, written down connection by connection."""

    def __init__(self) -> None:
        self._signs: dict[Route, Signs] = {}
        self._unheard: dict[Connection, float] = {}
        self._lock = Lock()

    def begin(self, route: Route) -> Connection:
        """Return a connection that is about to be opened, and not heard yet."""
        connection = (route, object())
        with self._lock:
            self._unheard[connection] = time.monotonic()
        return connection

    def hear(self, connection: Connection, count: int, *, tunnel: bool) -> None:
        """Note that a connection has brought so many bytes."""
        if count <= (_AGREED_BYTES if tunnel else 0):
            return
        with self._lock:
            self._unheard.pop(connection, None)
            found = self._signs.get(connection[0], Signs())
            self._signs[connection[0]] = replace(found, heard=time.monotonic())

    def end(self, connection: Connection) -> None:
        """Note that a connection has ended."""
        with self._lock:
            opened, now = self._unheard.pop(connection, math.inf), time.monotonic()
            if now - opened >= long_wait():
                found = self._signs.get(connection[0], Signs())
                self._signs[connection[0]] = replace(found, silent=now)

    def of(self, route: Route) -> Signs:
        """Return the signs of a route's hosts.

        A connection that is open still counts: who asked may have given up before it is known here.
        """
        with self._lock:
            found, now = self._signs.get(route, Signs()), time.monotonic()
            waiting = [now - opened for (of, _), opened in self._unheard.items() if of == route]
        return replace(found, silent=now) if max(waiting, default=0.0) >= long_wait() else found
