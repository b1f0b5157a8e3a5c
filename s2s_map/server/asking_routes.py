"""What takes a token: asking, sending a recording, asking why, keeping an answer as a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from s2s_map.config.run import QueryConfig
from s2s_map.errors import QueryError
from s2s_map.server.recordings import MOST_BYTES
from s2s_map.server.requests import (
    Refused,
    answered,
    body_of,
    json_of,
    number_of,
    text_of,
    texts_of,
)
from s2s_map.server.site import Site, question_described
from s2s_map.server.why import why

_LONGEST_NAME = 100


@dataclass(frozen=True, eq=False)
class AskingRoutes:
    """Answers questions.

    Attributes:
        site: What the server works with.
    """

    site: Site

    def routes(self) -> list[Route]:
        """Return the routes; the guard has checked the token before."""
        found = {
            "/api/prepare": self.prepare,
            "/api/questions": self.ask,
            "/api/recordings": self.record,
            "/api/why": self.why,
            "/api/keep": self.keep,
        }
        return [
            Route(path, answered(endpoint), methods=["POST"]) for path, endpoint in found.items()
        ]

    async def prepare(self, _request: Request) -> Response:
        """Load the models, as somebody begins to type."""
        site = self.site

        def work() -> dict[str, Any]:
            for run in site.watched.last().runs:
                site.models.of(run).embed_text("a sound")
            return {"ready": True}

        return JSONResponse(await site.asking.run(work))

    async def ask(self, request: Request) -> Response:
        """Encode a question; its tiles can be asked for from then on."""
        content, site = await json_of(request), self.site
        texts, minus = texts_of(content, "texts"), texts_of(content, "minus")
        recording = text_of(content, "recording")
        path = None if recording is None else site.recordings.path(recording)

        def work() -> dict[str, Any]:
            viewed = site.watched.last()
            question = site.answers.ask(viewed, texts, minus, path)
            return question_described(site, viewed, question)

        return JSONResponse(await site.asking.run(work))

    async def record(self, request: Request) -> Response:
        """Take a recording."""
        content = await body_of(request, MOST_BYTES)
        name = unquote(request.headers.get("x-name", ""))[:_LONGEST_NAME]
        site = self.site
        return JSONResponse(await site.asking.run(lambda: site.recordings.take(content, name)))

    async def why(self, request: Request) -> Response:
        """Say why a place answers as it does."""
        content, site = await json_of(request), self.site
        lon, lat = (number_of(content.get(key), key) for key in ("lon", "lat"))
        asked = self._asked(content)
        viewed = site.watched.last()
        slot = _slot(viewed.time_slots, content.get("slot", 0))
        return JSONResponse(
            await site.asking.run(lambda: why(viewed, site.models, asked, lon, lat, slot))
        )

    async def keep(self, request: Request) -> Response:
        """Write an answer as a layer of every run that is looked at."""
        content, site = await json_of(request), self.site
        question = site.answers.question(text_of(content, "question") or "")
        name = text_of(content, "name")
        if name is not None and len(name) > _LONGEST_NAME:
            raise Refused(400, "a name that is too long", expected=f"{_LONGEST_NAME} characters")

        def work() -> dict[str, Any]:
            return _kept(site, question.config, name)

        return JSONResponse(await site.keeping.run(work))

    def _asked(self, content: dict[str, Any]) -> QueryConfig | str:
        question, layer = text_of(content, "question"), text_of(content, "layer")
        if question is not None:
            return self.site.answers.question(question).config
        if layer is None:
            raise Refused(400, "neither a question nor a layer")
        return layer


def _kept(site: Site, asked: QueryConfig, name: str | None) -> dict[str, Any]:
    from s2s_map.pipeline.verbs.query import query

    taken = site.watched.now().layers
    written = ""
    for run in site.watched.now().runs:
        finished = query(
            run.folder,
            asked.text,
            audio=asked.audio,
            texts=asked.texts,
            minus=asked.minus,
            name=name,
        )
        written = str(finished.record.last_concept)
    return {
        "layer": written,
        "replaced": written in taken,
        "version": site.watched.now().version,
    }


def _slot(slots: tuple[str, ...], index: Any) -> str:
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(slots):
        raise QueryError("no such time slot", expected=f"0 to {len(slots) - 1}")
    return slots[index]
