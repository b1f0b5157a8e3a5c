"""What is said of a place that was clicked: its layers' values, and what is most heard there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from s2s_map.encoding.vector_cache import vectors_folder
from s2s_map.encoding.vocabulary import encode_vocabulary
from s2s_map.errors import RegionError
from s2s_map.regions.place_at import place_at
from s2s_map.server.answers import Answers, Question
from s2s_map.server.models import Models
from s2s_map.server.pieces import PIECE_CELLS, Pieces
from s2s_map.server.viewed import Viewed
from s2s_map.server.viewed_run import ViewedRun

MOST_HEARD = 10


def run_at(viewed: Viewed, lon: float, lat: float) -> tuple[ViewedRun, tuple[int, int]]:
    """Return the run with data at a place, and the cell there.

    Raises:
        RegionError: For a place that is outside, or where the map has no data.
    """
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise RegionError(f"the place {lon:g} {lat:g}", expected="degrees east, degrees north")
    there = [(run, cell) for run in viewed.runs if (cell := run.cell_at(lon, lat)) is not None]
    for run, cell in there:
        first = next(iter(run.layers))
        if np.isfinite(run.values_at(first, cell)).any():
            return run, cell
    if there:
        raise RegionError(f"the map has no data at {lon:.4f} {lat:.4f}")
    raise RegionError(f"{lon:.4f} {lat:.4f} is outside the map")


def values(
    viewed: Viewed, answers: Answers, asked: Sequence[Question], lon: float, lat: float
) -> dict[str, Any]:
    """Return the place's name and the values of all layers and questions, per time slot."""
    run, cell = run_at(viewed, lon, lat)
    centre = run.centre_of(*cell)
    layers = [
        {
            "name": name,
            "values": _plain(run.values_at(name, cell)),
            "range": list(viewed.colour_range(name)),
        }
        for name in run.layers
    ]
    questions = [
        {
            "question": one.id,
            "values": _plain(answers.value_at(viewed, one, run, cell)),
            "range": list(one.colour_range),
        }
        for one in asked
    ]
    return {
        "lon": lon,
        "lat": lat,
        "cell": {"lon": centre[0], "lat": centre[1], "side_m": run.grid.cell_m},
        "place": place_at(lon, lat),
        "run": run.title,
        "slots": list(run.time_slots),
        "layers": layers + questions,
    }


def heard(
    viewed: Viewed, models: Models, pieces: Pieces, lon: float, lat: float, slot: str
) -> dict[str, Any]:
    """Return what of the background vocabulary fits a place most, with its share of a softmax."""
    run, (row, column) = run_at(viewed, lon, lat)
    if slot not in run.time_slots:
        raise RegionError(f"the map has no {slot} at {lon:.4f} {lat:.4f}")
    index = run.time_slots.index(slot)
    model = models.of(run)
    vocabulary = encode_vocabulary(model, "text", vectors_folder())
    side = PIECE_CELLS
    cells, there = pieces.vectors(viewed, run, 0, index, row // side, column // side)
    at = (row % side, column % side)
    if not there[at]:
        raise RegionError(f"the embeddings have no data at {lon:.4f} {lat:.4f}")
    similar = vocabulary.vectors @ cells[at].astype(np.float32)
    scaled = similar.astype(np.float64) / model.card.softmax.temperature
    shares = np.exp(scaled - scaled.max())
    shares /= shares.sum()
    best = np.argsort(-similar, kind="stable")[:MOST_HEARD]
    return {
        "texts": [
            {
                "text": vocabulary.names[i],
                "similarity": float(similar[i]),
                "share": float(shares[i]),
            }
            for i in best
        ],
        "of": len(vocabulary.names),
    }


def _plain(numbers: Any) -> list[float | None]:
    return [float(n) if math.isfinite(n) else None for n in numbers]
