"""A server of web tiles on loopback: a known continuous pattern, and misbehaviour on purpose."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from fixtures_sentinel import pattern_at
from fixtures_servers import serve_app
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response

from s2s_map.config.webtiles import XyzEntry
from s2s_map.imagery.sources.xyz.webtile import WebTile

MAX_AGE = {"cache-control": "max-age=86400"}


@lru_cache(maxsize=2000)
def pattern_png(z: int, x: int, y: int, side: int = 256) -> bytes:
    """Return a web tile of the pattern of `fixtures_sentinel`, lossless."""
    values = 255.0 * pattern_at(WebTile(z, x, y).bounds, (side, side), "EPSG:3857")
    return png(np.rint(values).astype(np.uint8))


def png(rgb: np.ndarray) -> bytes:
    """Return an image (3 or 4, y, x) as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.moveaxis(rgb, 0, -1))).save(buffer, "PNG")
    return buffer.getvalue()


Answer = Callable[[WebTile, Request], Response | None]


@dataclass
class WebTileServer:
    """Where web tiles are served, and what was asked.

    Attributes:
        url: Root address.
        answer: What to answer instead of the pattern; None lets the pattern through.
        asked: How often each path was asked.
        headers: Headers of each request, in order.
        most_in_flight: Most requests at one time.
    """

    url: str = ""
    answer: Answer = lambda webtile, request: None
    asked: Counter[str] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    @property
    def template(self) -> str:
        return f"{self.url}/{{z}}/{{x}}/{{y}}.png"

    @property
    def requests(self) -> int:
        return sum(self.asked.values())


@contextmanager
def serve_webtiles(answer: Answer | None = None) -> Iterator[WebTileServer]:
    """Serve web tiles at /z/x/y.png."""
    from starlette.concurrency import run_in_threadpool

    state = WebTileServer()
    if answer is not None:
        state.answer = answer
    lock = threading.Lock()

    def respond(request: Request) -> Response:
        z, x, y = (int(part) for part in request.url.path.removesuffix(".png").split("/")[1:4])
        said = state.answer(WebTile(z, x, y), request)
        if said is not None:
            return said
        return Response(pattern_png(z, x, y), media_type="image/png", headers=MAX_AGE)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope)
        with lock:
            state.asked[request.url.path] += 1
            state.headers.append(dict(request.headers))
            state.queries.append(request.url.query)
            state.in_flight += 1
            state.most_in_flight = max(state.most_in_flight, state.in_flight)
        try:
            response = await run_in_threadpool(respond, request)
            await response(scope, receive, send)
        finally:
            state.in_flight -= 1

    with serve_app(app) as url:
        state.url = url
        yield state


def make_entry(url: str, **fields: Any) -> XyzEntry:
    """Return an entry that is quick to give up."""
    manners = {
        "per_second": 5000.0,
        "attempts": 3,
        "first_wait_s": 0.05,
        "longest_wait_s": 3.0,
        "timeout_s": 5.0,
        "breaker_failures": 8,
        "breaker_rest_s": 0.1,
        "breaker_rests": 1,
        **fields.pop("manners", {}),
    }
    known: dict[str, Any] = {
        "type": "xyz",
        "title": "Test tiles",
        "url": url,
        "sensor": "sentinel",
        "licence": "l",
        "attribution": "a",
        "manners": manners,
    }
    return XyzEntry.model_validate(known | fields)
