"""What a search has found so far, part by part, on disk: one that was killed goes on."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from s2s_map.atomic import write_text
from s2s_map.catalog.stac_items import Item
from s2s_map.config.cache_folder import cache_folder
from s2s_map.imagery.sources.stac.search.parts import Part

SCHEMA = 1
"""Of what is kept; what another version kept is searched again."""

_LONGEST = timedelta(days=7)
_BEGUN = "search.json"
_log = logging.getLogger(__name__)


class FoundParts:
    """The parts that a search has had answered, kept until it is whole.

    Where the cache cannot be written, nothing is kept and the search goes on. Of a search that
    began more than a week ago, or was kept in another form, nothing is used.

    Args:
        asked: What is searched for, as JSON.
        interval: The interval of time, if the search begins now.
    """

    def __init__(self, asked: dict[str, Any], interval: str) -> None:
        name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:24]
        self.folder = cache_folder("searches") / name
        begun = _read(self.folder / _BEGUN)
        now = datetime.now(UTC)
        try:
            fresh = now - datetime.fromisoformat(begun["begun"]) < _LONGEST
            self.interval = str(begun["interval"])
        except (KeyError, ValueError, TypeError):
            fresh = False
        if fresh and begun.get("schema") != SCHEMA:
            _log.warning(
                "what is kept of a search that was stopped is of form %s, this version's is %d: "
                "all of it is searched again",
                begun.get("schema", "none"),
                SCHEMA,
            )
            fresh = False
        if not fresh:
            self.forget()
            self.interval = interval
            record = {"schema": SCHEMA, "begun": now.isoformat(), "interval": interval}
            self._write(_BEGUN, record)

    def get(self, part: Part) -> list[Item] | None:
        """Return the items of a part that was answered."""
        record = _read(self.folder / _name(part))
        items = record.get("features")
        sound = isinstance(items, list) and record.get("part") == str(part)
        return items if sound else None

    def put(self, part: Part, items: list[Item]) -> None:
        """Keep the items of a part."""
        record = {"type": "FeatureCollection", "part": str(part), "features": items}
        self._write(_name(part), record)

    def forget(self) -> None:
        """Remove what is kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, name: str, record: dict[str, Any]) -> None:
        try:
            write_text(self.folder / name, json.dumps(record, ensure_ascii=False))
        except OSError as error:
            _log.warning("the search is not kept while it runs (%s)", error.strerror or error)


def _name(part: Part) -> str:
    return hashlib.sha256(str(part).encode()).hexdigest()[:24] + ".part.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
