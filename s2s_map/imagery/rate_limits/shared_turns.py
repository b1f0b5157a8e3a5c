"""Turns to ask a host, shared by all processes of a machine."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from s2s_map.config.webtiles import MannersConfig
from s2s_map.imagery.rate_limits.host_limits import reserve

_TABLE = (
    "CREATE TABLE IF NOT EXISTS hosts (host TEXT PRIMARY KEY, free_at REAL NOT NULL, "
    "day TEXT NOT NULL, asked INTEGER NOT NULL)"
)


_log = logging.getLogger(__name__)

type _State = tuple[float, str, int]
"""When the bucket is full again, the day, and the requests made on it."""

_FIRST: _State = (0.0, "", 0)


class DayIsUsedUpError(Exception):
    """The requests that the provider allows in a day are made."""


class Turns:
    """When each host may be asked next, in a file that processes share.

    Where the file cannot be written, also in the middle of a run, each process goes on with its
    own account, and says so once.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        # As this process last saw it, to go on with.
        self._account: dict[str, _State] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database: sqlite3.Connection | None = _connect(str(path))
        except (OSError, sqlite3.Error) as error:
            self._database = None
            self._go_on_alone(error)

    def take(self, host: str, manners: MannersConfig) -> float:
        """Take the next turn to ask a host; return how long to wait for it, seconds.

        Raises:
            DayIsUsedUpError: If the provider allows no more today (UTC).
        """
        now = time.time()
        today = datetime.fromtimestamp(now, UTC).date().isoformat()

        def taken(state: _State) -> tuple[_State, float]:
            free_at, day, asked = state
            asked = asked if day == today else 0
            if manners.per_day is not None and asked >= manners.per_day:
                raise DayIsUsedUpError
            after, wait = reserve(free_at, now, manners.per_second)
            return (after, today, asked + 1), wait

        return self._change(host, taken)

    def hold(self, host: str, seconds: float) -> None:
        """Let nobody ask a host for a while: it said so."""
        until = time.time() + seconds

        def held(state: _State) -> tuple[_State, float]:
            free_at, day, asked = state
            return (max(free_at, until), day, asked), 0.0

        self._change(host, held)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()

    def _change(self, host: str, change: Callable[[_State], tuple[_State, float]]) -> float:
        with self._lock:
            if self._database is not None:
                try:
                    with _Transaction(self._database) as database:
                        state, wait = change(_state(database, host))
                        _keep(database, host, state)
                except sqlite3.Error as error:
                    self._database = None
                    self._go_on_alone(error)
                else:
                    self._account[host] = state
                    return wait
            self._account[host], wait = change(self._account.get(host, _FIRST))
            return wait

    def _go_on_alone(self, error: Exception) -> None:
        _log.warning(
            "turns to ask hosts cannot be kept in %s (%s): each process keeps its own account of "
            "manners.per_second and per_day",
            self._path,
            error,
        )


class _Transaction:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> sqlite3.Connection:
        self._database.execute("BEGIN IMMEDIATE")
        return self._database

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._database.execute("COMMIT")
        elif self._database.in_transaction:
            self._database.execute("ROLLBACK")


def _connect(name: str) -> sqlite3.Connection:
    database = sqlite3.connect(name, timeout=30.0, isolation_level=None, check_same_thread=False)
    # Nothing here is worth waiting for the disk.
    database.execute("PRAGMA synchronous=OFF")
    database.execute("PRAGMA journal_mode=MEMORY")
    database.execute(_TABLE)
    return database


def _state(database: sqlite3.Connection, host: str) -> _State:
    found = database.execute(
        "SELECT free_at, day, asked FROM hosts WHERE host = ?", (host,)
    ).fetchone()
    return _FIRST if found is None else (float(found[0]), str(found[1]), int(found[2]))


def _keep(database: sqlite3.Connection, host: str, state: _State) -> None:
    database.execute("INSERT OR REPLACE INTO hosts VALUES (?, ?, ?, ?)", (host, *state))
