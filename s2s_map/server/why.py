"""Why a place answers as it does: `explain`'s patch and heat map, for the page, nothing written."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from s2s_map.config.run import QueryConfig
from s2s_map.errors import QueryError
from s2s_map.pipeline.maps.kept_layers import asked_of
from s2s_map.server.clicked import run_at
from s2s_map.server.models import Models
from s2s_map.server.viewed import Viewed

CODES = 5


def why(
    viewed: Viewed, models: Models, question: QueryConfig | str, lon: float, lat: float, slot: str
) -> dict[str, Any]:
    """Return the patch around a place, where in it the question is found, and its codes.

    Args:
        viewed: What is looked at.
        models: Those loaded.
        question: What was asked, or the name of a layer.
        lon: Degrees east.
        lat: Degrees north.
        slot: Label of the time slot.

    Raises:
        S2SMapError: As `look_closer`: imagery that is gone or has changed, and the like.
    """
    from s2s_map.pipeline.verbs.look_closer import look_closer

    run, _ = run_at(viewed, lon, lat)
    if isinstance(question, str):
        if question not in run.record.concepts:
            raise QueryError(f"no layer {question[:60]!r} here")
        question = asked_of(run.record, question).query
    looked = look_closer(
        run.folder,
        lon,
        lat,
        question,
        slot if slot in run.time_slots else None,
        CODES,
        model=models.of(run),
    )
    return {
        "title": looked.query.title,
        "patch": _picture(looked.pixels),
        "patch_m": looked.job.layout.patch_m,
        "mark": list(looked.mark),
        "similarity": looked.similarity,
        "cell_similarity": looked.cell_similarity,
        "heat": [
            [None if np.isnan(value) else round(float(value), 4) for value in row]
            for row in looked.heat
        ],
        "codes": [
            {"index": c.index, "share": c.weight, "texts": [text for text, _ in c.texts]}
            for c in looked.codes
        ],
    }


def _picture(pixels: Any) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.moveaxis(pixels, 0, -1)).save(out, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
