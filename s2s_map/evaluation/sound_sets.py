"""Evaluate a model on a data set of located sounds, and compare two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from s2s_map.datasets.reading import SoundDataset
from s2s_map.datasets.sample import SkippedRow
from s2s_map.errors import DataError
from s2s_map.evaluation.embedding import (
    EmbeddedSet,
    SetSettings,
    embed_set,
    open_set,
)
from s2s_map.evaluation.evaluated_model import EvaluatedModel
from s2s_map.evaluation.figures import Example, Shown, draw_examples
from s2s_map.evaluation.report import Report, Table, check_report_folder, shown, shown_percent
from s2s_map.evaluation.retrieval import Task, TaskRanks, rank_tasks, report_retrieval
from s2s_map.evaluation.told import Telling, tellings
from s2s_map.scoring.bootstrap import SAMPLES, Estimate, estimate
from s2s_map.scoring.nearest import nearest
from s2s_map.scoring.retrieval import FEWEST, MEDIAN_RANK, TOP_SHARE_NAME, retrieval_metrics

type Start = Callable[[str, int], Callable[[int], None]]
"""Begins a stage of some rows; what it returns is called with how many are done."""

_EXAMPLES, _FOUND = 5, 4
_OF_RECORDINGS = frozenset({"asource", "tsource"})
_THUMBNAIL_PX = 112


def evaluate_retrieval(
    model: EvaluatedModel,
    settings: SetSettings,
    output: Path,
    *,
    which: Telling = "on-off",
    samples: int = SAMPLES,
    seed: int = 0,
    start: Start | None = None,
) -> Report:
    """Evaluate the retrieval of a model on a data set and write a report.

    Args:
        model: The model.
        settings: Which data, and how.
        output: Folder of the report.
        which: What a model with metadata is given beside the image.
        samples: Bootstrap samples.
        seed: Of the bootstrap.
        start: Receives progress.

    Raises:
        DataError: For a set that cannot be used, or too few samples.
        OutputError: For a folder that cannot be written.
    """
    check_report_folder(output)
    with _embedded(model, settings, which, start) as (dataset, embedded):
        _enough(len(embedded.keys), settings, embedded)
        found = [one for one in rank_tasks(embedded) if len(one.ranks) >= FEWEST]
        if not found:
            raise DataError(
                f"{model.name} cannot hear, and only {int(embedded.captions.known.sum())} samples "
                "have a caption it can read",
                expected=f"at least {FEWEST}",
                remedy="evaluate a model that hears, or a set with captions",
            )
        told = tellings(model.card.config.metadata, which)
        about = {
            "model": describe_model(model),
            "data": _described(settings),
            "rows": len(dataset),
            "metadata": {name: list(fields) for name, fields in told.items()},
        }
        report = report_retrieval(
            f"{model.name} on {settings.data}, {settings.split}",
            about,
            embedded,
            found,
            samples,
            seed,
        )
        notes = [*_how(settings, embedded), *_helped(settings, told), *report.notes]
        pictures = dict(report.pictures)
        wanted = "audio caption -> image" if embedded.audio is None else "audio -> image"
        shown_tasks = [one for one in found if one.task.name == wanted]
        if shown_tasks:
            pictures["examples.png"] = partial(
                _draw_examples,
                dataset=dataset,
                embedded=embedded,
                shown_task=shown_tasks[-1],
                settings=settings,
            )
        report = replace(report, notes=notes, pictures=pictures)
        report.write(output)
    return report


def compare_models(
    first: EvaluatedModel,
    second: EvaluatedModel,
    settings: SetSettings,
    output: Path,
    *,
    which: Literal["none", "all"] = "all",
    samples: int = SAMPLES,
    seed: int = 0,
    start: Start | None = None,
) -> Report:
    """Compare the retrieval of two models on the samples that both can use.

    Differences are first less second, with intervals of a paired bootstrap: both are looked at on
    the same drawn queries.

    Raises:
        DataError: For a set that cannot be used, or too few samples in common.
        OutputError: For a folder that cannot be written.
    """
    check_report_folder(output)
    with (
        _embedded(first, settings, which, start) as (_, one),
        _embedded(second, settings, which, start) as (_, other),
    ):
        subsets = _in_common(one, other)
        _enough(len(subsets[0]), settings, one)
        ranks = [
            {_paired(found.task): found for found in rank_tasks(embedded, subset)}
            for embedded, subset in zip((one, other), subsets, strict=True)
        ]
    rows, results = [], []
    for key in (key for key in ranks[0] if key in ranks[1]):
        a, b = ranks[0][key], ranks[1][key]
        if len(a.ranks) != len(b.ranks) or len(a.ranks) < FEWEST:
            continue
        numbers = paired_differences(a, b, samples, seed)
        results.append(
            {
                "task": a.task.name,
                "kind": a.task.kind,
                "zoom": a.task.zoom,
                "caption_leaks": a.task.leaks,
                "samples": len(a.ranks),
                "metrics": {
                    name: {side: v.as_dict() for side, v in sides.items()}
                    for name, sides in numbers.items()
                },
            }
        )
        if not a.task.leaks:
            both = (TOP_SHARE_NAME, MEDIAN_RANK)
            rows += [_compared(a.task, name, numbers[name]) for name in both]
    if not results:
        raise DataError(
            f"{first.name} and {second.name} have no task in common with at least {FEWEST} samples",
            remedy="compare models of which both can be asked the same",
        )
    notes = [
        f"{len(subsets[0]):,} samples that both models can use. Differences are first less second; "
        "a higher recall and a lower median rank are better.",
        f"Intervals: 95 %, paired bootstrap of {samples} samples of the queries.",
        "Each is given all the metadata it knows." if which == "all" else "Given no metadata.",
    ]
    columns = ("task", "zoom", "metric", first.name, second.name, "difference")
    content = {
        "first": describe_model(first),
        "second": describe_model(second),
        "data": _described(settings),
        "samples": len(subsets[0]),
        "results": results,
    }
    report = Report(
        f"{first.name} against {second.name}", content, [Table("Retrieval", columns, rows)], notes
    )
    report.write(output)
    return report


def paired_differences(
    a: TaskRanks, b: TaskRanks, samples: int = SAMPLES, seed: int = 0
) -> dict[str, dict[str, Estimate]]:
    """Metrics of two rankings of the same samples: "first", "second" and their "difference".

    All three come from the same draws.
    """
    size = len(a.ranks)

    def statistic(drawn: Any) -> dict[str, float]:
        first = retrieval_metrics(a.ranks[drawn], size)
        second = retrieval_metrics(b.ranks[drawn], size)
        found = {f"first {name}": value for name, value in first.items()}
        found |= {f"second {name}": value for name, value in second.items()}
        return found | {f"difference {name}": first[name] - second[name] for name in first}

    every = estimate(statistic, size, samples=samples, seed=seed)
    sides: dict[str, dict[str, Estimate]] = {}
    for key, value in every.items():
        side, _, name = key.partition(" ")
        sides.setdefault(name, {})[side] = value
    return sides


def describe_model(model: EvaluatedModel) -> dict[str, Any]:
    """Which model it was, JSON-ready."""
    card = model.card
    return {
        "name": model.name,
        "title": card.title,
        "sha256": card.sha256,
        "licence": card.licence,
        "attribution": card.attribution,
    }


@contextmanager
def _embedded(
    model: EvaluatedModel, settings: SetSettings, which: Telling, start: Start | None
) -> Iterator[tuple[SoundDataset, EmbeddedSet]]:
    dataset = open_set(model, settings)
    told = tellings(model.card.config.metadata, which)
    count = min(len(dataset), settings.limit or len(dataset))
    with TemporaryDirectory(prefix="s2s-map-evaluate-") as folder:
        progress = None if start is None else start(f"Embedding with {model.name}", count)
        yield dataset, embed_set(model, dataset, settings, told, Path(folder), progress)


def _enough(count: int, settings: SetSettings, embedded: EmbeddedSet) -> None:
    if count < FEWEST:
        skipped = len(embedded.skipped)
        raise DataError(
            f"{count} usable samples in the split {settings.split} are too few for "
            f"{TOP_SHARE_NAME} ({skipped} rows skipped)",
            expected=f"at least {FEWEST}",
            remedy="evaluate on a larger split",
        )


def _in_common(one: EmbeddedSet, other: EmbeddedSet) -> tuple[Any, Any]:
    """Indices into both sets of the rows that both have."""
    _, first, second = np.intersect1d(one.rows, other.rows, return_indices=True)
    # What one model can read and the other cannot is compared for neither.
    captions = [(one.captions, other.captions)]
    captions += [(c, other.image_captions[zoom]) for zoom, c in one.image_captions.items()]
    same = np.ones(len(first), dtype=bool)
    for of_one, of_other in captions:
        same &= of_one.known[first] == of_other.known[second]
    return first[same], second[same]


def _paired(task: Task) -> tuple[str, int]:
    # Not by what was given: models that know of different metadata are given what each knows.
    return task.name, task.zoom


def _compared(task: Task, name: str, sides: Mapping[str, Estimate]) -> list[str]:
    how = partial(shown, digits=1) if name == MEDIAN_RANK else shown_percent
    cells = [how(sides[side]) for side in ("first", "second", "difference")]
    return [task.name, str(task.zoom), name, *cells]


def _how(settings: SetSettings, embedded: EmbeddedSet) -> Iterator[str]:
    heard = {
        "mel": "the first stored spectrogram of each recording is heard, as published",
        "recording": "recordings are heard whole",
        "nothing": "nothing is heard",
    }
    yield (
        f"Imagery: {settings.imagery}, patches of {settings.patch_m:g} m times the zoom; "
        f"{heard[embedded.hears]}."
    )
    if settings.limit is not None:
        yield f"Only the first {settings.limit:,} rows were looked at (--limit)."


def _helped(settings: SetSettings, told: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What makes figures better than a map's user would find them."""
    if settings.split == "train":
        yield "The split train is what models are trained on: new data will give lower figures."
    recorded = sorted({field for fields in told.values() for field in fields} & _OF_RECORDINGS)
    if recorded:
        yield (
            f"{' and '.join(recorded)} in the metadata tell of the recording that is looked "
            "for: its platform (asource), who wrote its caption (tsource). They narrow the "
            "gallery, as in the published evaluation; a place without a recording has none."
        )


def _described(settings: SetSettings) -> dict[str, Any]:
    return {**asdict(settings), "cache": None, "patch_m": settings.patch_m}


def _draw_examples(
    path: Path,
    dataset: SoundDataset,
    embedded: EmbeddedSet,
    shown_task: TaskRanks,
    settings: SetSettings,
) -> None:
    """Draw what is found for some queries, from the best to a poor one."""
    task, samples = shown_task.task, shown_task.samples
    asked = task.name.partition(" -> ")[0]
    queries = embedded.captions.vectors if embedded.audio is None else embedded.audio
    gallery = embedded.images[task.zoom, task.told][samples]
    order = np.argsort(shown_task.ranks, kind="stable")
    chosen = order[np.linspace(0, 0.9 * (len(order) - 1), _EXAMPLES).astype(int)]

    def item(position: int, caption: str, own: bool = False) -> Shown:
        sample = dataset.read(int(embedded.rows[samples[position]]))
        assert not isinstance(sample, SkippedRow)  # noqa: S101  (it was read before)
        pixels = sample.patch(settings.imagery, task.zoom, _THUMBNAIL_PX, settings.tile_px)
        return Shown(pixels, caption, own)

    def words(position: int) -> str:
        index = int(samples[position])
        return embedded.captions.texts[index] or embedded.keys[index]

    examples = []
    for position in map(int, chosen):
        best = nearest(queries[samples[position]][None], gallery, _FOUND)[0]
        rank = shown_task.ranks[position]
        examples.append(
            Example(
                f"{asked}: {words(position)}",
                item(position, f"its own place: rank {rank:g} of {len(samples)}"),
                [item(int(b), words(int(b)), own=int(b) == position) for b in best],
            )
        )
    draw_examples(path, examples, f"{task.name}, zoom {task.zoom}, metadata: {task.told}")
