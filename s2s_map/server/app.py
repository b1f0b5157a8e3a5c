"""The server's application: its routes, and the files of the page."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from threading import Lock
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from s2s_map.errors import S2SMapError
from s2s_map.server.requests import failed, on_http_error
from s2s_map.server.security import Guard, content_policy

if TYPE_CHECKING:
    from s2s_map.server.site import Site

_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".svg": "image/svg+xml"}


def make_app(
    site: Callable[[], Site], port: int, token: str, names: tuple[str, ...], elsewhere: str = ""
) -> Guard:
    """Return the application.

    The page is there at once. What answers it takes seconds to import, meanwhile the browser reads
    the page: it is made in a thread, by whoever first asks, and the others wait for it.

    Args:
        site: Gives what it works with, always the same.
        port: That it is served at.
        token: What requests that ask or write carry.
        names: Hosts that it is called by.
        elsewhere: Origin of a basemap that the user named; empty for none.
    """
    lock = Lock()

    @cache
    def made() -> Router:
        from s2s_map.server.asking_routes import AskingRoutes
        from s2s_map.server.map_routes import MapRoutes

        there = site()
        return Router([*MapRoutes(there).routes(), *AskingRoutes(there).routes()])

    def ready() -> Router:
        with lock:
            return made()

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        router = await run_in_threadpool(ready)
        try:
            await router(scope, receive, send)
        except ValueError:
            # Of the routes, which turn digits into numbers: Python takes 4,300.
            await failed(404, "no such address")(scope, receive, send)

    app = Starlette(
        routes=[
            Route("/", _page),
            Route("/page/{name:path}", _page),
            Mount("/", _Errors(answers)),
        ],
        exception_handlers={HTTPException: on_http_error},
    )
    return Guard(app, names, port, token, content_policy(elsewhere))


class _Errors:
    """Answers in one line what goes wrong before a route is found."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except S2SMapError as error:
            await failed(503, str(error))(scope, receive, send)


async def _page(request: Request) -> Response:
    name = request.path_params.get("name", "index.html")
    found = _shipped().get(name)
    if found is None:
        raise HTTPException(404, "no such page")
    ending = name[name.rfind(".") :]
    media = _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "text/plain"
    return Response(found, media_type=media, headers={"Cache-Control": "no-cache"})


@cache
def _shipped() -> dict[str, bytes]:
    """The files of the page by name: what is not among them is not served, whatever lies where."""
    found: dict[str, bytes] = {}

    def collect(folder: Traversable, prefix: str) -> None:
        for item in folder.iterdir():
            if item.is_dir():
                collect(item, f"{prefix}{item.name}/")
            else:
                found[prefix + item.name] = item.read_bytes()

    collect(files("s2s_map.server") / "page", "")
    return found
