"""A WMTS on loopback: recorded capabilities, and tiles of a known pattern in any matrix set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fixtures_sentinel import pattern_at
from fixtures_servers import serve_app
from fixtures_webtiles import MAX_AGE, png
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

RECORDED = Path(__file__).parent / "data" / "wmts"

# By hand, from the documents: CRS, metres of a unit, west and north edge, tile side, and of some
# levels the scale denominator.
SETS: dict[str, tuple[str, float, float, float, int]] = {
    "LAMB93": ("EPSG:2154", 1.0, 0.0, 12_000_000.0, 256),
    "PM": ("EPSG:3857", 1.0, -20037508.342789244, 20037508.342789244, 256),
    "EPSG:900913": ("EPSG:3857", 1.0, -20037508.342789244, 20037508.342789244, 256),
    "EPSG:4326": ("EPSG:4326", 111319.49079327358, -180.0, 90.0, 256),
}
DENOMINATORS: dict[tuple[str, str], float] = {
    ("LAMB93", "14"): 22785.3272714285733418,
    ("LAMB93", "13"): 45570.6560485714301016,
    ("PM", "13"): 68247.3466831930771477,
    ("PM", "14"): 34123.6733415965449154,
    ("EPSG:900913", "EPSG:900913:13"): 559082264.02871772 / 2**13,
    ("EPSG:900913", "EPSG:900913:14"): 559082264.02871772 / 2**14,
    ("EPSG:4326", "EPSG:4326:13"): 279541132.01435886 / 2**13,
    ("EPSG:4326", "EPSG:4326:14"): 279541132.01435886 / 2**14,
}


@dataclass
class WmtsServer:
    """Where it is, what it says, and what was asked.

    Attributes:
        url: Root address.
        capabilities: The document that it serves.
        tiles: Parameters of every tile that was asked for, in order.
    """

    url: str = ""
    capabilities: bytes = b""
    tiles: list[dict[str, str]] = field(default_factory=list)


def tile_png(name: str, level: str, row: int, col: int) -> bytes:
    """Return a tile of the pattern of `fixtures_sentinel`."""
    crs, unit, west, north, side = SETS[name]
    size = DENOMINATORS[name, level] * 0.00028 / unit * side
    left, top = west + col * size, north - row * size
    values = 255.0 * pattern_at((left, top - size, left + size, top), (side, side), crs)
    return png(np.rint(values).astype(np.uint8))


@contextmanager
def serve_wmts(
    name: str, change: Callable[[bytes], bytes] = lambda document: document
) -> Iterator[WmtsServer]:
    """Serve recorded capabilities, whose addresses lead here, and tiles."""
    state = WmtsServer()

    async def describe(_: Request) -> Response:
        return Response(state.capabilities, media_type="application/xml")

    async def tile(request: Request) -> Response:
        asked = {key.upper(): value for key, value in request.query_params.items()}
        state.tiles.append(asked)
        place = int(asked["TILEROW"]), int(asked["TILECOL"])
        body = tile_png(asked["TILEMATRIXSET"], asked["TILEMATRIX"], *place)
        return Response(body, media_type="image/png", headers=MAX_AGE)

    app = Starlette(routes=[Route("/WMTSCapabilities.xml", describe), Route("/wmts", tile)])
    with serve_app(app) as url:
        state.url = url
        document = (RECORDED / f"{name}.xml").read_bytes()
        here = f'href="{url}/wmts?"'.encode()
        state.capabilities = change(re.sub(rb'href="http[^"]*wmts[^"]*"', here, document))
        yield state
