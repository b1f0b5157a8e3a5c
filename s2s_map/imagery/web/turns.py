"""Turns to ask a host, shared by all processes of a machine."""

from __future__ import annotations

import sqlite3
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from s2s_map.config.webtiles import MannersConfig
from s2s_map.imagery.web.manners import reserve

_TABLE = (
    "CREATE TABLE IF NOT EXISTS hosts (host TEXT PRIMARY KEY, free_at REAL NOT NULL, "
    "day TEXT NOT NULL, asked INTEGER NOT NULL)"
)


class DayIsUsedUpError(Exception):
    """The requests that the provider allows in a day are made."""


class Turns:
    """When each host may be asked next, in a file that processes share.

    Where the file cannot be written, each process keeps its own account.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = _open(path)

    def take(self, host: str, manners: MannersConfig) -> float:
        """Take the next turn to ask a host; return how long to wait for it, seconds.

        Raises:
            DayIsUsedUpError: If the provider allows no more today (UTC).
        """
        now = time.time()
        today = datetime.fromtimestamp(now, UTC).date().isoformat()
        with self._lock, self._transaction() as database:
            free_at, day, asked = _state(database, host)
            asked = asked if day == today else 0
            if manners.per_day is not None and asked >= manners.per_day:
                raise DayIsUsedUpError
            after, wait = reserve(free_at, now, manners.per_second)
            _keep(database, host, after, today, asked + 1)
        return wait

    def hold(self, host: str, seconds: float) -> None:
        """Let nobody ask a host for a while: it said so."""
        with self._lock, self._transaction() as database:
            free_at, day, asked = _state(database, host)
            _keep(database, host, max(free_at, time.time() + seconds), day, asked)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _transaction(self) -> _Transaction:
        return _Transaction(self._database)


class _Transaction:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> sqlite3.Connection:
        self._database.execute("BEGIN IMMEDIATE")
        return self._database

    def __exit__(self, kind: object, *_: object) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _connect(str(path))
    except (OSError, sqlite3.Error):
        return _connect(":memory:")


def _connect(name: str) -> sqlite3.Connection:
    database = sqlite3.connect(name, timeout=30.0, isolation_level=None, check_same_thread=False)
    # Nothing here is worth waiting for the disk.
    database.execute("PRAGMA synchronous=OFF")
    database.execute("PRAGMA journal_mode=MEMORY")
    database.execute(_TABLE)
    return database


def _state(database: sqlite3.Connection, host: str) -> tuple[float, str, int]:
    found = database.execute(
        "SELECT free_at, day, asked FROM hosts WHERE host = ?", (host,)
    ).fetchone()
    return (0.0, "", 0) if found is None else (float(found[0]), str(found[1]), int(found[2]))


def _keep(database: sqlite3.Connection, host: str, free_at: float, day: str, asked: int) -> None:
    database.execute(
        "INSERT OR REPLACE INTO hosts VALUES (?, ?, ?, ?)", (host, free_at, day, asked)
    )
