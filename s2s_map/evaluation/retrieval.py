"""Retrieval between imagery, recordings and captions, and its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

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
)

LEAKS = (
    "In these the ground-truth caption of the own recording is added to one side: it says what is "
    "to be found, so that they are no measure of retrieval from imagery alone."
)


@dataclass(frozen=True)
class Task:
    """A direction of retrieval.

    Attributes:
        name: ``image -> audio``.
        zoom: Zoom level of the imagery.
        told: What the model was told beside the image.
        leaks: Whether the ground-truth caption is added to query or gallery.
    """

    name: str
    zoom: int
    told: str
    leaks: bool


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

    Per zoom and metadata: image and recording both ways; image and caption both ways, of samples
    with a caption; and, told apart as leaking, the published settings with the caption added: to
    the recording, ``unit(audio + text)``, both ways, and to the image as a query for recordings.

    Args:
        embedded: The data set.
        subset: Samples to rank among, indices; None: all.
    """
    every = np.arange(len(embedded.keys)) if subset is None else subset
    captioned = every[embedded.captioned[every]]
    for zoom, told in embedded.images:
        image = embedded.images[zoom, told]
        for name, leaks, samples, query, gallery in _directions(
            image, embedded.audio, embedded.texts, every, captioned
        ):
            if len(samples):
                ranks = own_ranks(query, gallery)
                yield TaskRanks(Task(name, zoom, told, leaks), ranks, samples)


type _Direction = tuple[str, bool, NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]


def _directions(
    image: NDArray[np.float32],
    audio: NDArray[np.float32] | None,
    text: NDArray[np.float32],
    every: NDArray[np.intp],
    captioned: NDArray[np.intp],
) -> Iterator[_Direction]:
    if audio is not None:
        yield "image -> audio", False, every, _take(image, every), _take(audio, every)
        yield "audio -> image", False, every, _take(audio, every), _take(image, every)
    pictures, captions = _take(image, captioned), _take(text, captioned)
    yield "image -> text", False, captioned, pictures, captions
    yield "text -> image", False, captioned, captions, pictures
    if audio is not None:
        heard = _take(audio, captioned)
        both = _unit(heard + captions)
        yield "image -> audio + text", True, captioned, pictures, both
        yield "audio + text -> image", True, captioned, both, pictures
        yield "image + text -> audio", True, captioned, _unit(pictures + captions), heard


def _take(rows: NDArray[np.float32], index: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return some rows; all of them without a copy, since they may be larger than memory."""
    return rows if np.array_equal(index, np.arange(len(rows))) else rows[index]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    # As published: a length of 0 stays 0.
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-8
    return np.asarray(vectors / lengths, dtype=np.float32)


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
            "zoom": task.zoom,
            "metadata": task.told,
            "caption_leaks": task.leaks,
            "samples": len(one.ranks),
            "metrics": describe(numbers),
        }
        for one, (task, numbers) in zip(found, estimates, strict=True)
    ]
    reasons: dict[str, int] = {}
    for row in embedded.skipped:
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
    tables = [
        _table("Retrieval, %", [e for e in estimates if not e[0].leaks]),
        _table(
            "Retrieval with the ground-truth caption added, %", [e for e in estimates if e[0].leaks]
        ),
    ]
    tables = [table for table in tables if table.rows]
    notes = [
        f"{len(embedded.keys):,} samples, {int(embedded.captioned.sum()):,} of them captioned; "
        f"{len(embedded.skipped):,} rows skipped."
    ]
    notes += [f"Skipped: {count} because {reason}." for reason, count in reasons.items()]
    if len(tables) > 1:
        notes.append(LEAKS)
    if embedded.audio is None:
        notes.append("The model cannot hear: no retrieval of recordings.")
    notes.append(
        "R@10% counts ranks strictly below a tenth of the gallery, as published; R@k ranks up to "
        f"k. Ties share their mean rank. Intervals: 95 %, {samples} bootstrap samples of queries."
    )
    content = {
        **about,
        "samples": len(embedded.keys),
        "captioned": int(embedded.captioned.sum()),
        "hears": embedded.hears,
        "results": results,
        "skipped": [{"key": row.key, "reason": row.reason} for row in embedded.skipped],
    }
    pictures = {"recall.png": partial(_draw_curves, found=list(found))}
    return Report(title, content, tables, notes, pictures)


def _table(title: str, estimates: Sequence[tuple[Task, Mapping[str, Estimate]]]) -> Table:
    names = list(dict.fromkeys(name for _, numbers in estimates for name in numbers))
    names = [name for name in names if name != MEDIAN_RANK] + [MEDIAN_RANK]
    rows = []
    for task, numbers in estimates:
        cells = [task.name, str(task.zoom), task.told]
        for name in names:
            one = numbers.get(name)
            how = partial(shown, digits=1) if name == MEDIAN_RANK else shown_percent
            cells.append("-" if one is None else how(one))
        rows.append(cells)
    return Table(title, ("task", "zoom", "metadata", *names), rows)


def _draw_curves(path: Any, found: Sequence[TaskRanks]) -> None:
    from s2s_map.evaluation.figures import draw_recall_curves

    last = found[-1].task
    draw_recall_curves(
        path,
        {
            f"{one.task.name}, zoom {one.task.zoom}, metadata: {one.task.told}": recall_curve(
                one.ranks, len(one.ranks)
            )
            for one in found
            if not one.task.leaks and one.task.told == last.told
        },
    )
