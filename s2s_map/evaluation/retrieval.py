"""Retrieval between imagery, recordings and captions, and its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from s2s_map.evaluation.embedding import EmbeddedSet
from s2s_map.evaluation.report import Report, Table, shown, shown_percent
from s2s_map.scoring.bootstrap import SAMPLES, Estimate
from s2s_map.scoring.retrieval import (
    MEDIAN_RANK,
    describe,
    own_ranks,
    recall_curve,
    retrieval_estimates,
    retrieval_metrics,
)

_BLOCK = 8192

type Kind = Literal["plain", "image caption", "leaking"]

TITLES: dict[Kind, str] = {
    "plain": "Retrieval, %",
    "image caption": "Retrieval of the caption that a vision-language model wrote of the image, %",
    "leaking": "Retrieval with the ground-truth caption added, %",
}
"""Of the tables, one a kind: their numbers are not to be compared with each other."""

LEAKS = (
    "`+ caption`: the ground-truth caption of the own recording is added to one side, "
    "unit(a + b). It says what is to be found, so that these are no measure of retrieval from "
    "imagery alone."
)


@dataclass(frozen=True)
class Task:
    """A direction of retrieval.

    Attributes:
        name: ``image -> audio``.
        zoom: Zoom level of the imagery.
        told: What the model was given beside the image.
        kind: "plain": between imagery, recordings and their captions. "image caption": between
            imagery and its own caption. "leaking": the ground-truth caption is added to query or
            gallery.
    """

    name: str
    zoom: int
    told: str
    kind: Kind = "plain"

    @property
    def leaks(self) -> bool:
        """Whether the ground-truth caption is added to query or gallery."""
        return self.kind == "leaking"


@dataclass(frozen=True, eq=False)
class TaskRanks:
    """What came of a task.

    Attributes:
        task: Which.
        ranks: Of each sample's own item, (n,).
        samples: Which samples took part, indices (n,).
    """

    task: Task
    ranks: NDArray[np.float64]
    samples: NDArray[np.intp]

    def estimates(self, samples: int = SAMPLES, seed: int = 0) -> dict[str, Estimate]:
        """Metrics with intervals.

        Raises:
            DataError: For too few samples.
        """
        return retrieval_estimates(self.ranks, len(self.ranks), samples, seed)


def rank_tasks(
    embedded: EmbeddedSet, subset: NDArray[np.intp] | None = None
) -> Iterator[TaskRanks]:
    """Rank all tasks of an embedded data set.

    Per zoom and metadata: image and recording both ways; image and the recording's caption both
    ways, of samples that have one; image and its own caption of that zoom both ways, of samples
    that have one; and, marked as leaking, the published settings with the recording's caption
    added: to the recording, ``unit(audio + caption)``, both ways, and to the image as a query for
    recordings.

    Args:
        embedded: The data set.
        subset: Samples to rank among, indices; None: all.
    """
    every = np.arange(len(embedded.keys)) if subset is None else subset
    captioned = every[embedded.captions.known[every]]
    described = {
        zoom: every[captions.known[every]] for zoom, captions in embedded.image_captions.items()
    }
    for zoom, told in embedded.images:
        for task, samples, query, gallery in _directions(
            embedded, zoom, told, every, captioned, described.get(zoom, every[:0])
        ):
            if len(samples):
                yield TaskRanks(task, own_ranks(query(), gallery()), samples)


type _Vectors = NDArray[np.float32]
type _Side = Callable[[], _Vectors]
"""Gives vectors when they are wanted: of a large set few copies are in memory at once."""


def _directions(
    embedded: EmbeddedSet,
    zoom: int,
    told: str,
    every: NDArray[np.intp],
    captioned: NDArray[np.intp],
    described: NDArray[np.intp],
) -> Iterator[tuple[Task, NDArray[np.intp], _Side, _Side]]:
    image, audio, text = embedded.images[zoom, told], embedded.audio, embedded.captions.vectors

    def both_ways(
        kind: Kind, names: tuple[str, str], samples: NDArray[np.intp], one: _Side, other: _Side
    ) -> Iterator[tuple[Task, NDArray[np.intp], _Side, _Side]]:
        yield Task(" -> ".join(names), zoom, told, kind), samples, one, other
        yield Task(" -> ".join(names[::-1]), zoom, told, kind), samples, other, one

    if audio is not None:
        sides = partial(_take, image, every), partial(_take, audio, every)
        yield from both_ways("plain", ("image", "audio"), every, *sides)
    pictures = partial(_take, image, captioned)
    captions = partial(_take, text, captioned)
    yield from both_ways("plain", ("image", "audio caption"), captioned, pictures, captions)
    if zoom in embedded.image_captions:
        own = partial(_take, embedded.image_captions[zoom].vectors, described)
        seen = partial(_take, image, described)
        yield from both_ways("image caption", ("image", "LLaVA caption"), described, seen, own)
    if audio is not None:
        heard = partial(_added, audio, text, captioned)
        names = ("image", "audio + caption")
        yield from both_ways("leaking", names, captioned, pictures, heard)
        task = Task("image + caption -> audio", zoom, told, "leaking")
        query = partial(_added, image, text, captioned)
        yield task, captioned, query, partial(_take, audio, captioned)


def _take(rows: _Vectors, index: NDArray[np.intp]) -> _Vectors:
    """Return some rows; all of them without a copy, since they may be larger than memory."""
    return rows if np.array_equal(index, np.arange(len(rows))) else rows[index]


def _added(one: _Vectors, other: _Vectors, index: NDArray[np.intp]) -> _Vectors:
    """Return the unit sums of some rows, ``unit(one + other)``."""
    found = np.empty((len(index), one.shape[1]), dtype=np.float32)
    for start in range(0, len(index), _BLOCK):
        part = slice(start, start + _BLOCK)
        added = one[index[part]] + other[index[part]]
        # As published: a length of 0 stays 0.
        found[part] = added / (np.linalg.norm(added, axis=1, keepdims=True) + 1e-8)
    return found


def report_retrieval(
    title: str,
    about: Mapping[str, Any],
    embedded: EmbeddedSet,
    found: Sequence[TaskRanks],
    samples: int = SAMPLES,
    seed: int = 0,
) -> Report:
    """Make the report of a retrieval.

    Args:
        title: What was evaluated.
        about: Model, data and settings, JSON-ready.
        embedded: The data set.
        found: Ranks of all tasks.
        samples: Bootstrap samples.
        seed: Of the bootstrap.

    Raises:
        DataError: For too few samples.
    """
    estimates = [(one.task, one.estimates(samples, seed)) for one in found]
    results = [
        {
            "task": task.name,
            "kind": task.kind,
            "zoom": task.zoom,
            "metadata": task.told,
            "caption_leaks": task.leaks,
            "samples": len(one.ranks),
            "metrics": describe(numbers),
        }
        for one, (task, numbers) in zip(found, estimates, strict=True)
    ]
    tables = [
        _table(
            name,
            [
                (one, n)
                for one, (task, n) in zip(found, estimates, strict=True)
                if task.kind == kind
            ],
        )
        for kind, name in TITLES.items()
        if any(task.kind == kind for task, _ in estimates)
    ]
    notes = [*_counted(embedded), *_explained(embedded, {task.kind for task, _ in estimates})]
    notes.append(
        "n: items of the gallery, and queries. R@10% counts ranks strictly below a tenth of the "
        "gallery, as published; R@k ranks up to k. Ties share their mean rank. Intervals: 95 %, "
        f"{samples} bootstrap samples of the queries, seed {seed}; the gallery stays whole."
    )
    size = max(len(one.ranks) for one in found)
    by_chance = retrieval_metrics(np.arange(1.0, size + 1), size)
    notes.append(
        f"By chance, with n = {size:,}: "
        + ", ".join(f"{name} {100 * v:.2f}" for name, v in by_chance.items() if name != MEDIAN_RANK)
        + f", {MEDIAN_RANK} {by_chance[MEDIAN_RANK]:.1f}."
    )
    content = {
        **about,
        "bootstrap": {"samples": samples, "seed": seed},
        "samples": len(embedded.keys),
        "captioned": int(embedded.captions.known.sum()),
        "image_captioned": {
            str(zoom): int(captions.known.sum())
            for zoom, captions in embedded.image_captions.items()
        },
        "hears": embedded.hears,
        "results": results,
        "skipped": [{"key": row.key, "reason": row.reason} for row in embedded.skipped],
    }
    pictures = {"recall.png": partial(_draw_curves, found=list(found))}
    return Report(title, content, tables, notes, pictures)


def _counted(embedded: EmbeddedSet) -> Iterator[str]:
    yield (
        f"{len(embedded.keys):,} samples, {int(embedded.captions.known.sum()):,} of them with a "
        f"caption ({embedded.captions.distinct:,} different ones); "
        f"{len(embedded.skipped):,} rows skipped."
    )
    for reason, count in Counter(row.reason for row in embedded.skipped).items():
        yield f"Skipped: {count} because {reason}."


def _explained(embedded: EmbeddedSet, kinds: Collection[Kind]) -> Iterator[str]:
    if embedded.audio is None:
        yield "The model cannot hear: no retrieval of recordings."
    if "plain" in kinds:
        yield "`audio caption`: the ground-truth caption of the recording."
    if "image caption" in kinds:
        counts = "; ".join(
            f"zoom {zoom}: {int(captions.known.sum()):,}, {captions.distinct:,} different"
            for zoom, captions in embedded.image_captions.items()
        )
        yield (
            "`LLaVA caption`: what a vision-language model expects to hear at the image of that "
            f"zoom, written from the image alone ({counts})."
        )
    if "leaking" in kinds:
        yield LEAKS


def _table(title: str, found: Sequence[tuple[TaskRanks, Mapping[str, Estimate]]]) -> Table:
    names = list(dict.fromkeys(name for _, numbers in found for name in numbers))
    names = [name for name in names if name != MEDIAN_RANK] + [MEDIAN_RANK]
    rows = []
    for one, numbers in found:
        cells = [one.task.name, str(one.task.zoom), one.task.told, f"{len(one.ranks):,}"]
        for name in names:
            value = numbers.get(name)
            how = partial(shown, digits=1) if name == MEDIAN_RANK else shown_percent
            cells.append("-" if value is None else how(value))
        rows.append(cells)
    return Table(title, ("task", "zoom", "metadata", "n", *names), rows)


def _draw_curves(path: Path, found: Sequence[TaskRanks]) -> None:
    """Draw a panel for each zoom, of what the model was given last: all it can be given."""
    from s2s_map.evaluation.figures import draw_recall_curves

    told = found[-1].task.told
    panels: dict[str, Any] = {}
    for one in found:
        if not one.task.leaks and one.task.told == told:
            panel = panels.setdefault(f"zoom {one.task.zoom}, metadata: {told}", {})
            panel[one.task.name] = recall_curve(one.ranks, len(one.ranks))
    draw_recall_curves(path, panels)
