"""The server's application: its routes, and the files of the page."""

from __future__ import annotations

import mimetypes
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from s2s_map.server.asking_routes import AskingRoutes
from s2s_map.server.map_routes import MapRoutes
from s2s_map.server.requests import on_http_error
from s2s_map.server.security import Guard, content_policy
from s2s_map.server.site import Site

_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".svg": "image/svg+xml"}


def make_app(site: Site, port: int, token: str, names: tuple[str, ...]) -> Guard:
    """Return the application.

    Args:
        site: What it works with.
        port: That it is served at.
        token: What requests that ask or write carry.
        names: Hosts that it is called by.
    """
    app = Starlette(
        routes=[
            *MapRoutes(site).routes(),
            *AskingRoutes(site).routes(),
            Route("/", _page),
            Route("/page/{name:path}", _page),
        ],
        exception_handlers={HTTPException: on_http_error},
    )
    elsewhere = "" if site.basemap is None else site.basemap.origin
    return Guard(app, names, port, token, content_policy(elsewhere))


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
