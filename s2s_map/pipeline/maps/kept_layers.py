"""Layers of the finished results: which are sound and kept, and which are asked again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from s2s_map.config.model import ModelCard
from s2s_map.config.run import ProbabilityConfig
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.encoding.queries import content_hashes, query_name
from s2s_map.encoding.query_model import QueryModel
from s2s_map.errors import QueryError, S2SMapError, StoreError
from s2s_map.outputs import names
from s2s_map.outputs.checksums import differing_files
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import OutputPath
from s2s_map.pipeline.job.run_record import Asked, RunRecord
from s2s_map.pipeline.maps.questions import Questions, described_query, encode_questions
from s2s_map.pipeline.maps.score_regions import Before
from s2s_map.rasters.building import same_cells
from s2s_map.rasters.maps import read_maps
from s2s_map.reporter import Reporter

_CHUNK = re.compile(rf"{re.escape(names.MAPS)}/(?:probability|similarity)/(?:c/)?(\d+)[/.]")
_SHOWN = 3


def look_back(out: OutputPath, store: EmbeddingsStore, record: RunRecord | None) -> Before:
    """Compare the finished results with what was written, and return what may be kept of them.

    Args:
        out: The output.
        store: The embeddings that the layers are of.
        record: The record of the results; None if there is none that can be read.

    Raises:
        OutputError: If they cannot be read.
    """
    results = open_output(out).finished_results()
    bad = differing_files(results, open_output(out).finished_files())
    named = [] if record is None else list(record.concepts)
    maps = results / names.MAPS
    try:
        there = read_maps(maps) if maps.exists() else []
        fits = bool(there) and same_cells(maps, store.grid, store.time_slots)
    except StoreError as error:
        there, fits = [], False
        bad.setdefault(names.MAPS, str(error))
    order = named or [layer.name for layer in there]
    hurt = hurt_layers(bad, order)
    sound = [layer for layer in there if layer.name not in hurt] if fits else []
    return Before(tuple(sound), tuple(order), bad)


def hurt_layers(bad: Iterable[str], order: list[str]) -> set[str]:
    """Return the layers whose cells lie in bad files of ``maps.zarr``.

    Args:
        bad: Names of the files.
        order: The layers as they lie there. What is not a chunk of a layer concerns all.
    """
    hurt: set[str] = set()
    for name in bad:
        chunk = _CHUNK.match(name)
        if chunk is not None:
            hurt |= set(order[int(chunk[1]) : int(chunk[1]) + 1])
        elif name.startswith(f"{names.MAPS}/"):
            hurt |= set(order)
    return hurt


@dataclass
class AskedAgain:
    """What became of layers that are to be asked again.

    Attributes:
        questions: All questions, theirs among them.
        asked: How each is asked.
        gone: Those that cannot be asked again, each with the reason.
    """

    questions: Questions
    asked: dict[str, Asked] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)


def ask_again(
    questions: Questions,
    layers: Iterable[str],
    record: RunRecord,
    model: QueryModel,
    card: ModelCard,
    cache: Path | None,
) -> AskedAgain:
    """Add the questions of earlier layers to those of a run, as they were asked.

    Args:
        questions: Those of the run.
        layers: Names of the layers.
        record: What they were asked.
        model: What encodes them.
        card: Its card.
        cache: Where vectors are kept.
    """
    taken = questions.by_name()
    more, asked, gone = [], {}, {}
    for name in layers:
        if name in taken:
            continue
        try:
            asked[name] = asked_of(record, name)
            _check_recordings(record, name, asked[name])
            ask, settings = asked[name].query, asked[name].probability
            more.append(encode_questions(model, card, [ask], settings, cache))
        except S2SMapError as error:
            asked.pop(name, None)
            gone[name] = error.found
    return AskedAgain(replace(questions, also=tuple(more)), asked, gone)


def asked_of(record: RunRecord, name: str) -> Asked:
    """Return how a layer was asked: as it was kept, or as version 0.1.0 described it.

    Raises:
        QueryError: If that cannot be known.
    """
    if name in record.asked:
        return record.asked[name]
    for query in record.config.queries:
        if query_name(query) == name:
            return Asked(query, record.config.probability)
    about = record.concepts.get(name, {})
    asked = described_query(name, about)
    if asked is None:
        raise QueryError(f"{names.RECORD} does not say how {name} was asked")
    return Asked(asked, _settings(about.get("query", {}), record.config.probability))


def _settings(about: Mapping[str, Any], usual: ProbabilityConfig) -> ProbabilityConfig:
    soft = about.get("softmax")
    if not isinstance(soft, dict):
        return ProbabilityConfig(method="similarity") if about.get("method") else usual
    own = soft.get("temperature_source") == "the run config"
    return ProbabilityConfig(
        temperature=soft["temperature"] if own else None, max_cosine=soft["max_cosine"]
    )


def _check_recordings(record: RunRecord, name: str, asked: Asked) -> None:
    about = record.concepts.get(name, {}).get("query", {})
    known = [part.get("sha256") for part in about.get("parts", [about])]
    if known != content_hashes(asked.query):
        raise QueryError(f"the recording {asked.query.audio} is another one now")


def say_again(reporter: Reporter, again: AskedAgain, why: str) -> None:
    """Note which layers are asked again, and which are gone.

    Args:
        reporter: Receives what is said.
        again: The layers.
        why: What made it necessary.
    """
    if again.asked:
        reporter.note(f"asked again: {', '.join(again.asked)} ({why})")
    for name, reason in again.gone.items():
        reporter.note(f"the layer {name} is gone ({why}) and cannot be asked again: {reason}")


def say_bad(bad: Mapping[str, str]) -> str:
    """Return the first bad files and how many there are, for people."""
    shown = [f"{name} {how}" for name, how in list(bad.items())[:_SHOWN]]
    more = f" and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
    return f"{'; '.join(shown)}{more}"
