"""Fetching web tiles: each once, from memory, disk or the server."""

from __future__ import annotations

import atexit
import hashlib
import logging
import random
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import numpy as np
from filelock import FileLock, Timeout
from hishel import CacheOptions, SqliteStorage
from hishel.httpx2 import CacheTransport
from numpy.typing import NDArray
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
)

from s2s_map.config.cache_folder import CACHE_VARIABLE, cache_folder
from s2s_map.config.webtiles import XyzEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.rate_limits.host_limits import HELD_BYTES, wait_s
from s2s_map.imagery.rate_limits.shared_turns import DayIsUsedUpError, Turns
from s2s_map.imagery.sources.xyz.content import path_digest
from s2s_map.imagery.sources.xyz.gate import BLANK, PIXELS, Gate
from s2s_map.imagery.sources.xyz.judging import FetchError, TransientError, decode
from s2s_map.imagery.sources.xyz.webtile import WebTile
from s2s_map.imagery.stopping import ReadStoppedError, stop_event
from s2s_map.redaction import redacted

Pixels = NDArray[np.uint8]
"""Red, green, blue, alpha of one web tile, (4, y, x)."""

# What a web tile takes in memory besides its file.
_ITEM_BYTES = 300
_STRIPES = 512
# Own failures of the cache, such as a full disk, are not failures of the run: it fetches.
logging.getLogger("hishel").setLevel(logging.CRITICAL)


class Fetcher:
    """Fetches the web tiles of one entry in this process; threads share it.

    Files as they came are held in memory, for the halos of neighbouring blocks, and on disk as
    far as entry and server allow. A web tile is asked for by one thread of one process at a time;
    the others find it held.

    Args:
        entry: The catalog entry.
        folder: Where to keep files, locks and turns.
    """

    def __init__(self, entry: XyzEntry, folder: Path) -> None:
        self._entry = entry
        self._lock = threading.Lock()
        self._held: OrderedDict[WebTile, bytes | None] = OrderedDict()
        self._held_bytes = 0
        self._folder = folder
        name = hashlib.sha256(_content_of(entry).encode()).hexdigest()[:24]
        self._synthetic = f"http://{name}.invalid"
        self._locks = folder / "locks" / name
        _make(self._locks)
        self._failed: dict[WebTile, str] = {}
        self._gate = Gate(entry, Turns(folder / "turns.sqlite"))
        transport: httpx2.BaseTransport = self._gate
        if entry.cache.max_gb:
            transport = CacheTransport(
                transport,
                SqliteStorage(
                    database_path=folder / f"{name}.sqlite",
                    default_ttl=entry.cache.max_days * 86400.0,
                    max_size=int(entry.cache.max_gb * 1e9),
                ),
                CacheOptions(shared=False),
            )
        self._client = httpx2.Client(transport=transport)

    def fetch(self, webtiles: Iterable[WebTile]) -> dict[WebTile, Pixels | str | None]:
        """Fetch web tiles, several at a time.

        Returns:
            Of each its pixels, None where there is no imagery, or why it cannot be had. Where the
            entry says `on_missing: fail`, those after the first that cannot be had are left out.

        Raises:
            ImageryError: If the provider allows no more requests today.
            CatalogError: For an environment variable that is not set.
            ReadStoppedError: If the run that wanted them is stopped, see `imagery.stopping`.
        """
        stop = stop_event()
        found: dict[WebTile, Pixels | str | None] = {}
        wanted = list(webtiles)
        pool = ThreadPoolExecutor(
            min(self._entry.manners.connections, max(1, len(wanted))), "webtile"
        )
        try:
            asked: dict[Future[Pixels | None], WebTile] = {
                pool.submit(self.one, webtile, stop): webtile for webtile in wanted
            }
            for done in as_completed(asked):
                try:
                    found[asked[done]] = done.result()
                except FetchError as error:
                    found[asked[done]] = redacted(str(error))
                    if self._entry.on_missing == "fail":
                        break
        except DayIsUsedUpError:
            raise ImageryError(
                f"{self._entry.title}: the {self._entry.manners.per_day:,} requests that "
                "manners.per_day allows are made",
                remedy="start the run again tomorrow (UTC): it goes on where it stopped",
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
        return found

    def one(self, webtile: WebTile, stop: threading.Event) -> Pixels | None:
        """Fetch a web tile; None where there is no imagery.

        Raises:
            FetchError: If it cannot be had.
            DayIsUsedUpError: If the provider allows no more requests today.
            ReadStoppedError: If `stop` is set.
        """
        self._check_failed(webtile)
        held = self._look(webtile)
        if held is None:
            # One lock serves many web tiles, so that their number is bounded.
            stripe = hash((webtile.z, webtile.x, webtile.y)) % _STRIPES
            with self._turn(stripe, stop):
                held = self._look(webtile)
                if held is None:
                    self._check_failed(webtile)
                    return self._request(webtile, stop)
        body = held[0]
        return None if body is None else decode(body, self._entry.tile_px)

    def close(self) -> None:
        """Close connections and files."""
        self._client.close()

    def _turn(self, stripe: int, stop: threading.Event) -> AbstractContextManager[object]:
        lock = FileLock(self._locks / f"{stripe}.lock")
        try:
            return lock.acquire(poll_interval=0.01, cancel_check=stop.is_set)
        except Timeout:
            raise ReadStoppedError from None

    def _request(self, webtile: WebTile, stop: threading.Event) -> Pixels | None:
        manners = self._entry.manners

        def wait(state: RetryCallState) -> float:
            asked = getattr(state.outcome and state.outcome.exception(), "retry_after", None)
            return wait_s(state.attempt_number, asked, random.random(), manners)  # noqa: S311

        def again(error: BaseException) -> bool:
            if not isinstance(error, TransientError):
                return False
            return (error.retry_after or 0.0) <= manners.longest_wait_s

        attempts = Retrying(
            stop=stop_after_attempt(manners.attempts),
            retry=retry_if_exception(again),
            wait=wait,
            sleep=sleep_using_event(stop),
            reraise=True,
        )
        try:
            return attempts(self._once, webtile, stop)
        except FetchError as error:
            self._hold_failure(webtile, str(error))
            raise

    def _check_failed(self, webtile: WebTile) -> None:
        with self._lock:
            reason = self._failed.get(webtile)
        if reason is not None:
            raise FetchError(reason)

    def _hold_failure(self, webtile: WebTile, reason: str) -> None:
        # Not asked again by every block around it. Where the host is what is wrong, its web tiles
        # are asked for once it is well; where a failure stops the run, the next one tries again.
        resting = self._gate.is_resting
        with self._lock:
            if resting:
                self._failed.clear()
            elif self._entry.on_missing == "nodata":
                self._failed[webtile] = reason

    def _once(self, webtile: WebTile, stop: threading.Event) -> Pixels | None:
        # What the cache is given: a name for the web tile, without the key that is asked with.
        response = self._client.get(
            f"{self._synthetic}/{webtile.z}/{webtile.x}/{webtile.y}",
            extensions={"webtile": webtile, "stop": stop},
        )
        body = None if BLANK in response.headers else response.content
        self._hold(webtile, body)
        if body is None:
            return None
        pixels: Pixels | None = response.extensions.get(PIXELS)
        return decode(body, self._entry.tile_px) if pixels is None else pixels

    def _look(self, webtile: WebTile) -> tuple[bytes | None] | None:
        with self._lock:
            if webtile not in self._held:
                return None
            self._held.move_to_end(webtile)
            return (self._held[webtile],)

    def _hold(self, webtile: WebTile, body: bytes | None) -> None:
        with self._lock:
            if webtile in self._held:
                self._held_bytes -= _size(self._held.pop(webtile))
            self._held[webtile] = body
            self._held_bytes += _size(body)
            while self._held_bytes > HELD_BYTES:
                _, gone = self._held.popitem(last=False)
                self._held_bytes -= _size(gone)


_MAKING = threading.Lock()
_FETCHERS: dict[tuple[str, str, Path], Fetcher] = {}


def fetcher_of(entry: XyzEntry) -> Fetcher:
    """Return this process's fetcher of an entry."""
    key = (entry.model_dump_json(), path_digest(entry), cache_folder("web"))
    with _MAKING:
        if key not in _FETCHERS:
            _FETCHERS[key] = Fetcher(entry, key[-1])
        return _FETCHERS[key]


@atexit.register
def close_fetchers() -> None:
    """Close this process's connections and forget what is held in memory."""
    with _MAKING:
        while _FETCHERS:
            _FETCHERS.popitem()[1].close()


def _content_of(entry: XyzEntry) -> str:
    """What decides the content of an answer: what is kept for one entry serves its like."""
    said = entry.model_dump_json(
        include={"url", "subdomains", "headers", "tile_px", "blank", "cache"}
    )
    return said + path_digest(entry)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ImageryError(
            f"web tiles cannot be kept in {folder} ({error.strerror or error})",
            remedy=f"name a folder that can be written in {CACHE_VARIABLE}",
        ) from None


def _size(body: bytes | None) -> int:
    return len(body or b"") + _ITEM_BYTES
