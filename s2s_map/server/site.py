"""Everything a server of maps works with, in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from s2s_map.outputs.path import OutputPath
from s2s_map.pipeline.engine.cores import usable_cores
from s2s_map.rasters.maps import ConceptLayer
from s2s_map.server.answers import Answers, Question
from s2s_map.server.areas import Areas
from s2s_map.server.basemap import Basemap
from s2s_map.server.colouring import ramp
from s2s_map.server.kept_tiles import KeptTiles
from s2s_map.server.models import Models
from s2s_map.server.pieces import Pieces
from s2s_map.server.recordings import Recordings
from s2s_map.server.requests import Workers
from s2s_map.server.viewed import Viewed, Watched

_SLOT = re.compile(r"(\d{2})-(\d{2})h(-.*)?")


@dataclass(eq=False)
class Site:
    """What a server works with.

    Attributes:
        folder: The output of a run or a batch.
        basemap: An online map below; None for none.
    """

    folder: OutputPath
    basemap: Basemap | None = None

    def __post_init__(self) -> None:
        self.watched = Watched(self.folder)
        self.models, self.pieces = Models(), Pieces()
        self.kept, self.recordings = KeptTiles(), Recordings()
        self.answers = Answers(self.models, self.pieces)
        self.areas = Areas(self.answers)
        self.tiles = Workers(usable_cores(), 400)
        self.quick = Workers(4, 60)
        self.asking = Workers(1, 4)
        self.keeping = Workers(1, 0)

    def close(self) -> None:
        """Remove what was copied to this machine."""
        self.kept.close()

    @property
    def is_keeping(self) -> bool:
        """Whether a layer is being written."""
        return self.keeping.busy > 0


def described(viewed: Viewed, basemap: Basemap | None, *, writing: bool) -> dict[str, Any]:
    """Return what the page needs to know at first."""
    return {
        "version": viewed.version,
        "title": viewed.runs[0].title if len(viewed.runs) == 1 else f"{len(viewed.runs)} maps",
        "bounds": list(viewed.bounds),
        "runs": [
            {
                "title": run.title,
                "bounds": list(run.bounds),
                "cell_m": run.grid.cell_m,
                "model": run.record.model.title,
                "imagery": run.record.imagery.title,
                "time": _interval(run.record.imagery_time),
            }
            for run in viewed.runs
        ],
        "layers": [
            layer_described(viewed, name, [layer for _, layer in found])
            for name, found in viewed.layers.items()
        ],
        "slots": [_slot(label) for label in viewed.time_slots],
        "attribution": viewed.attribution,
        "missing": list(viewed.missing),
        "writing": writing,
        "ramp": ramp().tolist(),
        "basemap": None
        if basemap is None
        else {"url": basemap.url, "attribution": basemap.attribution},
    }


def layer_described(viewed: Viewed, name: str, layers: list[ConceptLayer]) -> dict[str, Any]:
    """Return what the page says of a layer."""
    first = layers[0]
    return {
        "name": name,
        "title": first.title,
        "range": list(viewed.colour_range(name)),
        "label": first.probability_label,
        "even_share": first.even_share,
        "floored": any(layer.is_floored for layer in layers),
        "doubts": list(dict.fromkeys(doubt for layer in layers for doubt in layer.doubts)),
        "notes": list(first.query.get("understood", {}).get("warnings", [])),
    }


def question_described(site: Site, viewed: Viewed, question: Question) -> dict[str, Any]:
    """Return what the page says of a question."""
    return {
        "id": question.id,
        "title": question.title,
        "range": list(question.colour_range),
        **question.about,
        "levels": sorted(
            {
                run.grid.cell_m * level.factor
                for run in viewed.runs
                for level in site.pieces.levels(viewed, run)
            }
        ),
    }


def _slot(label: str) -> dict[str, Any]:
    found = _SLOT.fullmatch(label)
    about: dict[str, Any] = {"label": label}
    return about if found is None else {**about, "month": int(found[1]), "hour": int(found[2])}


def _interval(interval: Any) -> list[str] | None:
    return None if interval is None else [moment.date().isoformat() for moment in interval]
