"""A STAC API of synthetic scenes on loopback, which can misbehave as the public ones do."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import shapely
from fixtures_servers import serve_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/collections",
]
QUERY = "https://api.stacspec.org/v1.0.0/item-search#query"
SORT = "https://api.stacspec.org/v1.0.0/item-search#sort"


@dataclass
class Asked:
    """A request as the server sees it.

    Attributes:
        box: (west, south, east, north).
        days: Length of the interval in days.
        limit: Items a page.
        first: Number of the first item wanted.
        matched: Identifiers of all that match.
        page: Identifiers of those on this page.
        count: How many requests there were before.
    """

    box: tuple[float, float, float, float]
    days: float
    limit: int
    first: int
    matched: list[str]
    page: list[str]
    count: int


@dataclass
class StacServer:
    """An API and what it was asked.

    Attributes:
        items: What it has.
        misbehave: Returns another answer than the right one, or None.
        extensions: Conformance classes beyond the core.
        cap: Items that it puts on a page, whatever is asked for.
        wait_s: Seconds before each answer, for benchmarks.
        asked: Every search, in order.
        url: Root address.
    """

    items: list[dict[str, Any]]
    misbehave: Callable[[Asked], Response | None] = lambda asked: None
    extensions: tuple[str, ...] = (QUERY, SORT)
    cap: int = 10_000
    wait_s: float = 0.0
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    tree: shapely.STRtree | None = None

    def root(self, _: Request) -> Response:
        links = [
            {"rel": "self", "href": self.url, "type": "application/json"},
            {"rel": "root", "href": self.url, "type": "application/json"},
            {"rel": "search", "href": f"{self.url}/search", "method": "POST"},
        ]
        return JSONResponse(
            {
                "type": "Catalog",
                "stac_version": "1.0.0",
                "id": "synthetic",
                "description": "d",
                "conformsTo": [*CONFORMS, *self.extensions],
                "links": links,
            }
        )

    async def search(self, request: Request) -> Response:
        body = json.loads(await request.body())
        if self.wait_s:
            await asyncio.sleep(self.wait_s)
        west, south, east, north = body["bbox"]
        start, end = map(_instant, body["datetime"].split("/"))
        if self.tree is None:
            self.tree = shapely.STRtree([shapely.box(*item["bbox"]) for item in self.items])
        there = sorted(self.tree.query(shapely.box(west, south, east, north), "intersects"))
        found = [self.items[i] for i in there]
        found = [i for i in found if start <= _instant(i["properties"]["datetime"]) <= end]
        if "query" in body:
            most = body["query"]["eo:cloud_cover"]["lte"]
            found = [i for i in found if i["properties"]["eo:cloud_cover"] <= most]
        if "sortby" in body:
            found.sort(key=lambda i: (i["properties"]["eo:cloud_cover"], i["id"]))
        first, limit = int(body.get("token", 0)), int(body["limit"])
        behind = first + min(limit, self.cap)
        page = found[first:behind]
        with self.lock:
            asked = Asked(
                (west, south, east, north),
                (end - start) / timedelta(days=1),
                limit,
                first,
                [i["id"] for i in found],
                [i["id"] for i in page],
                len(self.asked),
            )
            self.asked.append(asked)
            answer = self.misbehave(asked)
        if answer is not None:
            return answer
        links = []
        if behind < len(found):
            links = [
                {
                    "rel": "next",
                    "href": f"{self.url}/search",
                    "method": "POST",
                    "body": {**body, "token": str(behind)},
                }
            ]
        return JSONResponse({"type": "FeatureCollection", "features": page, "links": links})


@contextmanager
def serve_synthetic(server: StacServer) -> Iterator[StacServer]:
    """Serve items; yields the server with its address."""
    app = Starlette(
        routes=[
            Route("/", server.root),
            Route("/search", server.search, methods=["POST"]),
        ]
    )
    with serve_app(app) as url:
        server.url = url
        yield server


def fails(status: int, text: str = "Internal Server Error", **headers: str) -> Response:
    """An answer of an error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return PlainTextResponse(text, status, named)


def scene(
    tile: str,
    box: tuple[float, float, float, float],
    day: datetime,
    cloud: float,
    name: str | None = None,
    **properties: object,
) -> dict[str, Any]:
    """Return an item of a scene, without pixels."""
    ring = [[x, y] for x, y in shapely.box(*box).exterior.coords]
    names = ("red", "green", "blue", "scl")
    identifier = name or f"{tile}_{day:%Y%m%dT%H%M}"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": identifier,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": list(box),
        "properties": {
            "datetime": day.isoformat().replace("+00:00", "Z"),
            "eo:cloud_cover": cloud,
            "grid:code": f"MGRS-{tile}",
            "proj:code": "EPSG:32637",
            **properties,
        },
        "links": [],
        "assets": {n: {"href": f"https://scenes.test/{identifier}/{n}.tif"} for n in names},
    }


def _instant(text: str) -> datetime:
    then = datetime.fromisoformat(text)
    return then if then.tzinfo else then.replace(tzinfo=UTC)
