"""The gate to a host: only well-mannered requests go out, only imagery comes in."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx2

from s2s_map.catalog.environment import expanded
from s2s_map.config.webtiles import XyzEntry
from s2s_map.imagery.rate_limits.host_limits import Breaker, retry_after_s
from s2s_map.imagery.rate_limits.shared_turns import Turns
from s2s_map.imagery.sources.xyz.judging import (
    FetchError,
    RefusedError,
    TransientError,
    decode,
    is_placeholder,
    judge_status,
    says_blank,
)
from s2s_map.imagery.sources.xyz.webtile import WebTile, address
from s2s_map.imagery.stopping import pause

BLANK = "x-s2s-map-blank"
"""Header of an answer that stands for no imagery."""

PIXELS = "s2s_map.pixels"
"""Extension of an answer that has just been decoded."""

_MOST_BYTES = 20_000_000
# What an answer is kept with: nothing that may repeat the address, and thus a key, or who asked.
_KEPT = ("cache-control", "expires", "date", "age", "etag", "last-modified", "content-type")
_PAUSE_S = 0.05


class Gate(httpx2.BaseTransport):
    """Sends a request for a web tile when its host may be asked, and judges the answer.

    It stands behind the cache. The cache sees addresses without keys; the real one, with keys, is
    made here and goes no further. What comes out is an image that decodes, an answer that there
    is none, or an exception.

    Args:
        entry: The catalog entry.
        turns: Turns to ask the host.
    """

    def __init__(self, entry: XyzEntry, turns: Turns) -> None:
        self._entry = entry
        self._turns = turns
        self._lock = threading.Lock()
        self._breaker = Breaker()
        manners = entry.manners
        self._client = httpx2.Client(
            timeout=httpx2.Timeout(manners.timeout_s, pool=None),
            limits=httpx2.Limits(
                max_connections=manners.connections,
                max_keepalive_connections=manners.connections,
            ),
            follow_redirects=False,
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request whose extension `webtile` names the web tile.

        Its extension `stop` is an event that ends waiting.

        Raises:
            FetchError: If there is no imagery to be had.
            DayIsUsedUpError: If the provider allows no more today.
            ReadStoppedError: If the event is set.
        """
        stop: threading.Event = request.extensions["stop"]
        token = self._await_breaker(stop)
        try:
            wait = self._turns.take(self._entry.host, self._entry.manners)
            pause(stop, wait)
            answer = self._ask(request)
        except (FetchError, TransientError) as error:
            self._failed(error, token)
            raise
        except BaseException:
            with self._lock:
                self._breaker = self._breaker.abandoned(token)
            raise
        with self._lock:
            self._breaker = self._breaker.succeeded()
        return answer

    @property
    def is_resting(self) -> bool:
        """Whether the host itself is in trouble, rather than single web tiles."""
        with self._lock:
            return self._breaker.rests > 0

    def close(self) -> None:
        """Close connections and files."""
        self._client.close()
        self._turns.close()

    def _ask(self, request: httpx2.Request) -> httpx2.Response:
        entry = self._entry
        webtile: WebTile = request.extensions["webtile"]
        headers = {name: expanded(value, entry) for name, value in entry.headers.items()}
        for name in ("if-none-match", "if-modified-since"):
            if name in request.headers:
                headers[name] = request.headers[name]
        headers.setdefault("User-Agent", user_agent())
        url = expanded(address(entry, webtile), entry)
        deadline = time.monotonic() + 2.0 * entry.manners.timeout_s
        try:
            with self._client.stream("GET", url, headers=headers) as response:
                body = _read(response, deadline)
        except httpx2.InvalidURL:
            raise FetchError("it is not an address once its variables are put in") from None
        except httpx2.TimeoutException:
            raise TransientError(f"no answer within {entry.manners.timeout_s:g} s") from None
        except httpx2.TransportError as error:
            raise TransientError(_said(error)) from None
        except httpx2.HTTPError as error:
            raise TransientError(_said(error), troubled=False) from None
        return self._judged(response, body)

    def _judged(self, response: httpx2.Response, body: bytes) -> httpx2.Response:
        entry = self._entry
        kept = {name: response.headers[name] for name in _KEPT if name in response.headers}
        kept.setdefault("date", format_datetime(datetime.now(UTC), usegmt=True))
        if "cache-control" not in kept and "expires" not in kept:
            kept["cache-control"] = f"max-age={round(entry.cache.fresh_days * 86400.0)}"
        if response.status_code == 304:
            return httpx2.Response(304, headers=kept)
        asked = retry_after_s(response.headers.get("retry-after"), datetime.now(UTC))
        if asked:
            self._turns.hold(entry.host, min(asked, entry.manners.longest_wait_s))
        blank = judge_status(response.status_code, asked, entry.blank)
        blank = blank or says_blank(response.headers, entry.blank)
        if not blank:
            pixels = decode(body, entry.tile_px)
            if not is_placeholder(response.headers, body, pixels, entry.blank):
                return httpx2.Response(200, headers=kept, content=body, extensions={PIXELS: pixels})
        return httpx2.Response(200, headers=kept | {BLANK: "yes"}, content=b"")

    def _await_breaker(self, stop: threading.Event) -> float | None:
        manners = self._entry.manners
        while True:
            pause(stop, 0.0)
            with self._lock:
                breaker, now = self._breaker, time.monotonic()
                wait = breaker.wait(now)
                if wait == 0.0:
                    self._breaker = breaker.asked()
                    return breaker.closed_until
                if breaker.given_up(manners):
                    raise FetchError(
                        f"the host is left alone after {breaker.failures} failures in a row, "
                        f"the last: {breaker.reason}"
                    )
            pause(stop, _PAUSE_S if wait is None else min(wait, 1.0))

    def _failed(self, error: FetchError, token: float | None) -> None:
        refused = isinstance(error, RefusedError)
        troubled = isinstance(error, TransientError) and error.troubled
        with self._lock:
            if refused or troubled:
                self._breaker = self._breaker.failed(
                    time.monotonic(), self._entry.manners, str(error), refused, token
                )
            else:
                # The host answers; this web tile is what is wrong.
                self._breaker = self._breaker.succeeded()


def user_agent() -> str:
    """Return how s2s_map introduces itself."""
    from importlib.metadata import version

    return f"s2s-map/{version('s2s-map')} httpx2/{httpx2.__version__}"


def _read(response: httpx2.Response, deadline: float) -> bytes:
    body = b""
    for piece in response.iter_bytes():
        body += piece
        if len(body) > _MOST_BYTES:
            raise FetchError(f"an answer of more than {_MOST_BYTES // 10**6} MB")
        if time.monotonic() > deadline:
            raise TransientError("an answer that does not end")
    return body


def _said(error: Exception) -> str:
    # Texts of connection errors hold no address; the host's name at most.
    return str(error).strip() or type(error).__name__
