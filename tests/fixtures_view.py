"""A small run of the demo scene to look at, and its server on loopback."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from fixtures_waiting import HANG_S

from s2s_map.outputs.path import ObjectPath
from s2s_map.pipeline.verbs.run import run
from s2s_map.server.serve import start
from s2s_map.server.site import Site

BOX = (-54.62, -25.44, -54.48, -25.30)
"""Degrees: the dam of Itaipu, its reservoir in the north-east, town and fields."""

WATER, LAND = (-54.535, -25.33), (-54.60, -25.32)
HOSTILE = "<img src=x onerror=document.title='hacked'>"
WAVES = "waves lapping on a lake shore"


def make_run(
    output: Path | str, box: Sequence[float] = BOX, texts: Sequence[str] = (WAVES, HOSTILE)
) -> Path:
    """Map a box of the demo scene with the embedded model, at 160 m: seconds."""
    names = ("waves", "hostile", "third")
    content: dict[str, Any] = {
        "output": str(output),
        "title": "Around the dam",
        "source": "iguacu_landsat8",
        "region": list(box),
        "queries": [{"name": n, "text": t} for n, t in zip(names, texts, strict=False)],
        "grid": {"cell_m": 160, "block_cells": 64},
        "patches": {"stride_m": 1280},
    }
    folder = Path(output) if "://" not in str(output) else Path.cwd() / "config"
    folder.parent.mkdir(parents=True, exist_ok=True)
    config = folder.with_name(f"{folder.name}.yaml")
    config.write_text(yaml.safe_dump(content), "utf-8")
    run(config)
    return Path(output)


@dataclass(frozen=True)
class Client:
    """Asks a server as the page does.

    Attributes:
        root: Its address.
        url: The printed address, with the token.
        site: What it works with.
    """

    root: str
    url: str
    site: Site

    @property
    def token(self) -> str:
        """What asking takes."""
        return self.url.partition("#ask=")[2]

    def get(self, path: str, **query: Any) -> httpx.Response:
        """Read something."""
        return httpx.get(f"{self.root}{path}", params=query, trust_env=False, timeout=HANG_S)

    def post(self, path: str, content: Any, **headers: str) -> httpx.Response:
        """Ask for something."""
        given = {"x-s2s-map-token": self.token, **headers}
        body = {"content": content} if isinstance(content, bytes) else {"json": content}
        address = f"{self.root}{path}"
        return httpx.post(address, headers=given, trust_env=False, timeout=HANG_S, **body)

    def ask(self, *texts: str, minus: Sequence[str] = ()) -> dict[str, Any]:
        """Ask a question."""
        answered = self.post("/api/questions", {"texts": list(texts), "minus": list(minus)})
        assert answered.status_code == 200, answered.text
        return dict(answered.json())

    @property
    def version(self) -> str:
        """Of what is looked at."""
        return str(self.get("/api/version").json()["version"])


@contextmanager
def viewing(output: Path | ObjectPath) -> Iterator[Client]:
    """Serve an output on a free port."""
    site = Site(output)
    serving = start(lambda: site, 0)
    root = re.sub(r"/#.*", "", serving.url)
    try:
        yield Client(root, serving.url, site)
    finally:
        serving.stop()
        site.close()
