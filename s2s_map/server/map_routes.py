"""What is only read: the page's facts, tiles, places, outlines, downloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from s2s_map.server import clicked
from s2s_map.server.downloads import Box, layer_tiff, question_tiff
from s2s_map.server.find import find
from s2s_map.server.requests import Refused, answered, number_of
from s2s_map.server.site import Site, described
from s2s_map.server.tile_grid import Tile
from s2s_map.server.viewed import Viewed

_FOR_GOOD = {"Cache-Control": "private, max-age=86400, immutable"}


@dataclass(frozen=True, eq=False)
class MapRoutes:
    """Answers what is only read.

    Attributes:
        site: What the server works with.
    """

    site: Site

    def routes(self) -> list[Route]:
        """Return the routes."""
        at = "{slot:int}/{z:int}/{x:int}/{y:int}"
        found = {
            "/api/view": self.view,
            "/api/version": self.version,
            "/api/place": self.place,
            "/api/area": self.area,
            "/api/find": self.find,
            "/api/outlines": self.outlines,
            "/api/layer.tif": self.download,
            f"/tiles/{{version}}/layer/{{name}}/{at}": self.layer_tile,
            f"/tiles/{{version}}/question/{{name}}/{at}": self.question_tile,
            "/tiles/{version}/imagery/{z:int}/{x:int}/{y:int}": self.imagery_tile,
        }
        return [Route(path, answered(endpoint)) for path, endpoint in found.items()]

    async def view(self, _request: Request) -> Response:
        """Say what is there."""
        site = self.site

        def look() -> dict[str, Any]:
            return described(site.watched.now(), site.basemap, writing=site.watched.is_written())

        return JSONResponse(await site.quick.run(look))

    async def version(self, _request: Request) -> Response:
        """Say whether it is still what it was."""
        site = self.site

        def look() -> dict[str, Any]:
            return {"version": site.watched.now().version, "writing": site.watched.is_written()}

        return JSONResponse(await site.quick.run(look))

    async def imagery_tile(self, request: Request) -> Response:
        """Draw imagery."""
        viewed, tile = self._viewed(request), _tile(request)
        drawn = await self.site.tiles.run(lambda: self.site.kept.imagery(viewed, tile), request)
        return _picture(drawn)

    async def layer_tile(self, request: Request) -> Response:
        """Draw a layer."""
        viewed, tile, slot = self._viewed(request), _tile(request), self._slot(request)
        name, above = self._layer(viewed, request.path_params["name"]), _above(request)
        kept = self.site.kept
        drawn = await self.site.tiles.run(
            lambda: kept.layer(viewed, name, slot, tile, above), request
        )
        return _picture(drawn)

    async def question_tile(self, request: Request) -> Response:
        """Draw the answer to a question."""
        viewed, tile, slot = self._viewed(request), _tile(request), self._slot(request)
        question, above = self.site.answers.question(request.path_params["name"]), _above(request)
        answers = self.site.answers
        drawn = await self.site.tiles.run(
            lambda: answers.tile(viewed, question, slot, tile, above), request
        )
        return _picture(drawn)

    async def place(self, request: Request) -> Response:
        """Say what a place is and what the layers hold there; or what is most heard there."""
        lon, lat = (number_of(request.query_params.get(key), key) for key in ("lon", "lat"))
        site, viewed = self.site, self.site.watched.last()
        if request.query_params.get("part") == "heard":
            slot = self._slot_label(viewed, request.query_params.get("slot", "0"))
            # The model may have to be loaded first.
            return JSONResponse(
                await site.asking.run(
                    lambda: clicked.heard(viewed, site.models, site.pieces, lon, lat, slot)
                )
            )
        asked = [site.answers.question(key) for key in request.query_params.getlist("question")[:8]]
        found = await site.quick.run(lambda: clicked.values(viewed, site.answers, asked, lon, lat))
        return JSONResponse(found)

    async def area(self, request: Request) -> Response:
        """Say how much ground a threshold leaves."""
        site, viewed, asked = self.site, self.site.watched.last(), request.query_params
        slot = self._slot_label(viewed, asked.get("slot", "0"))
        above = number_of(asked.get("above"), "above")
        if "question" in asked:
            question = site.answers.question(asked["question"])
            work = lambda: site.areas.of_question(viewed, question, slot, above)  # noqa: E731
        else:
            name = self._layer(viewed, asked.get("layer", ""))
            work = lambda: site.areas.of_layer(viewed, name, slot, above)  # noqa: E731
        return JSONResponse(await site.quick.run(work))

    async def find(self, request: Request) -> Response:
        """Find a place."""
        viewed, text = self.site.watched.last(), request.query_params.get("text", "")
        found = await self.site.quick.run(lambda: find(text, viewed.bounds))
        return JSONResponse(
            {
                "label": found.label,
                "bounds": list(found.bounds),
                "point": found.is_point,
                "note": found.note,
            }
        )

    async def outlines(self, request: Request) -> Response:
        """Return outlines and names around the map: countries far around, units near it."""
        from s2s_map.regions.place_at import outlines

        viewed = self.site.watched.last()
        units = request.query_params.get("of") == "units"
        west, south, east, north = viewed.bounds
        if east > 180:
            # On both sides of the 180th meridian.
            west, east = -180.0, 180.0
        reach = max(east - west, north - south)
        around = max(4 * reach, 3.0) if units else max(12 * reach, 25.0)
        box = (
            max(west - around, -180.0), max(south - around, -85.0),
            min(east + around, 180.0), min(north + around, 85.0),
        )  # fmt: skip
        tolerance = min(max(reach / 400, 0.002), 0.05) * (1 if units else 4)
        found = await self.site.quick.run(lambda: outlines(box, tolerance, units=units))
        return JSONResponse(found)

    async def download(self, request: Request) -> Response:
        """Return a layer, or what is seen of it, as a GeoTIFF."""
        site, viewed, asked = self.site, self.site.watched.last(), request.query_params
        slot, seen = self._slot_label(viewed, asked.get("slot", "0")), _box(asked.get("seen"))
        if "question" in asked:
            question = site.answers.question(asked["question"])
            stem = question.about["name"]
            work = lambda: question_tiff(viewed, site.pieces, question, slot, seen)  # noqa: E731
        else:
            stem = self._layer(viewed, asked.get("layer", ""))
            work = lambda: layer_tiff(viewed, stem, slot, seen)  # noqa: E731
        content = await site.tiles.run(work)
        named = {"Content-Disposition": f'attachment; filename="{stem}.tif"'}
        return Response(content, media_type="image/tiff", headers=named)

    def _viewed(self, request: Request) -> Viewed:
        viewed = self.site.watched.last()
        if request.path_params["version"] != viewed.version:
            raise Refused(409, "the run was written anew", expected="the page to load it again")
        return viewed

    def _slot(self, request: Request) -> str:
        return self._slot_label(self.site.watched.last(), str(request.path_params["slot"]))

    def _slot_label(self, viewed: Viewed, index: str) -> str:
        slots = viewed.time_slots
        if not (index.isdecimal() and len(index) < 5 and int(index) < len(slots)):
            raise Refused(404, "no such time slot", expected=f"0 to {len(slots) - 1}")
        return slots[int(index)]

    def _layer(self, viewed: Viewed, name: str) -> str:
        if name not in viewed.layers:
            raise Refused(404, f"no layer {name[:60]!r}")
        return name


def _tile(request: Request) -> Tile:
    tile = Tile(*(request.path_params[key] for key in ("z", "x", "y")))
    if not tile.exists:
        raise Refused(404, "no such tile")
    return tile


def _above(request: Request) -> float | None:
    text = request.query_params.get("above")
    return None if text is None else number_of(text, "above")


def _box(text: str | None) -> Box | None:
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 4:
        raise Refused(400, "seen that is no box", expected="west,south,east,north")
    west, south, east, north = (number_of(part, "seen") for part in parts)
    if not (west < east and south < north and south >= -90 and north <= 90):
        raise Refused(400, "seen that is no box", expected="west,south,east,north in degrees")
    return west, south, east, north


def _picture(content: bytes) -> Response:
    media = "image/png" if content.startswith(b"\x89PNG") else "image/webp"
    return Response(content, media_type=media, headers=_FOR_GOOD)
