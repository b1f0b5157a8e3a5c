"""How useful embeddings are for other tasks: linear probe, nearest neighbours, zero-shot.

The protocol is written down in docs/evaluation.md; what is chosen here must be said there.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import DataError
from s2s_map.evaluation.evaluated_model import EvaluatedModel
from s2s_map.evaluation.labelled import LabelledName, LabelledVectors, Start
from s2s_map.evaluation.labelled_pictures import IMAGE_SETS, embed_pictures
from s2s_map.evaluation.labelled_sounds import embed_birds
from s2s_map.evaluation.report import Report, Table, check_report_folder, shown_percent
from s2s_map.evaluation.sound_sets import describe_model
from s2s_map.scoring.bootstrap import SAMPLES
from s2s_map.scoring.classification import classification_estimates, classification_metrics
from s2s_map.scoring.nearest import nearest

type Method = Literal["linear", "knn", "zero-shot"]

METHODS: tuple[Method, ...] = ("linear", "knn", "zero-shot")

NEIGHBOURS = (1, 3, 5, 10, 20, 50)
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
"""Inverse strengths C of the probe's L2 penalty, on standardised numbers."""

MOST_ITERATIONS = 2000
_LISTED = 20
"""Skipped files that the report names; the JSON has all."""

PROMPTS = {
    "eurosat": ("a satellite image of {}", "{}"),
    "ucmerced": ("an aerial image of {}", "{}"),
    "resisc45": ("an aerial image of {}", "{}"),
    "birdclef": ("the sound of {}", "{} singing"),
}
"""What a class is called when it is asked for; the unit vectors of all are averaged."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a method says of the test split.

    Attributes:
        method: Which.
        labels: Predicted classes, (n,).
        chosen: Hyper-parameters that were chosen, and how they did on the validation split.
    """

    method: Method
    labels: NDArray[np.int64]
    chosen: dict[str, Any]


def nearest_neighbours(data: LabelledVectors) -> Predicted:
    """Classify by the majority of the nearest training vectors, by cosine.

    Their number is the one with the best accuracy on the validation split (of equals the
    smallest); then training and validation vectors are searched together.
    """
    train, val, both, test = _parts(data)
    usable = [k for k in NEIGHBOURS if k <= len(train[0])]
    near = train[1][nearest(val[0], train[0], max(usable))]
    accuracy = {k: _accuracy(val[1], _majority(near[:, :k]), data) for k in usable}
    best = max(usable, key=lambda k: (accuracy[k], -k))
    found = _majority(both[1][nearest(test[0], both[0], best)])
    return Predicted("knn", found, {"k": best, "validation accuracy": accuracy})


def _majority(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The most frequent class of each row, of equals the first."""
    counts = np.stack([(classes == one).sum(axis=1) for one in range(classes.max() + 1)], axis=1)
    return np.asarray(counts.argmax(axis=1), dtype=np.int64)


def linear_probe(data: LabelledVectors) -> Predicted:
    """Classify by multinomial logistic regression on standardised vectors.

    The penalty is the one with the best accuracy on the validation split (of equals the
    strongest); then it is fitted to training and validation vectors together.
    """
    train, val, both, test = _parts(data)
    accuracy: dict[float, float] = {}
    for strength in STRENGTHS:
        fitted = _fit(train, strength)
        accuracy[strength] = _accuracy(val[1], fitted.predict(val[0]), data)
    best = max(STRENGTHS, key=lambda c: (accuracy[c], -c))
    fitted = _fit(both, best)
    iterations = int(np.max(fitted[-1].n_iter_))
    return Predicted(
        "linear",
        fitted.predict(test[0]),
        {
            "C": best,
            "validation accuracy": accuracy,
            "converged": iterations < MOST_ITERATIONS,
        },
    )


def zero_shot(data: LabelledVectors, model: EvaluatedModel, prompts: Sequence[str]) -> Predicted:
    """Classify by the class whose texts are most similar; nothing is learned."""
    rows = []
    for name in data.classes:
        vectors = np.stack([model.embed_text(prompt.format(name)) for prompt in prompts])
        mean = vectors.mean(axis=0)
        rows.append(mean / np.linalg.norm(mean))
    found = nearest(data.vectors["test"], np.stack(rows), 1)[:, 0]
    return Predicted("zero-shot", found, {"prompts": list(prompts)})


def embed_labelled(
    model: EvaluatedModel,
    name: LabelledName,
    root: Path,
    *,
    gsd_m: float | None = None,
    limit: int | None = None,
    batch: int = 32,
    seed: int = 0,
    start: Start | None = None,
) -> LabelledVectors:
    """Embed a labelled set that lies on this machine.

    Args:
        model: The model; one with metadata is given none.
        name: Which set.
        root: Its folder, laid out as torchgeo (or, for BirdCLEF, the competition) has it.
        gsd_m: Metres of a pixel; None: the set's.
        limit: Samples of each split (of BirdCLEF: of the whole), drawn at random; None: all.
        batch: Pictures in one pass.
        seed: Of what is drawn, and of BirdCLEF's splits.
        start: Receives progress.

    Raises:
        DataError: If the set is not there, or nothing of it can be used.
    """
    if name == "birdclef":
        return embed_birds(model, root, limit, seed, start)
    return embed_pictures(model, IMAGE_SETS[name], root, gsd_m, limit, batch, seed, start)


def evaluate_transfer(
    model: EvaluatedModel,
    name: LabelledName,
    root: Path,
    output: Path,
    *,
    methods: Sequence[Method] = METHODS,
    prompts: Sequence[str] = (),
    gsd_m: float | None = None,
    limit: int | None = None,
    batch: int = 32,
    samples: int = SAMPLES,
    seed: int = 0,
    start: Start | None = None,
) -> Report:
    """Evaluate how useful a model's embeddings are for a labelled set, and write a report.

    Args:
        model: The model.
        name: Which set.
        root: Its folder.
        output: Folder of the report.
        methods: What is done with the embeddings.
        prompts: For zero-shot, each with {} for the class; none: those of the set.
        gsd_m: Metres of a pixel; None: the set's.
        limit: Samples of each split, drawn at random; None: all.
        batch: Pictures in one pass.
        samples: Bootstrap samples.
        seed: Of all that is drawn.
        start: Receives progress.

    Raises:
        DataError: For a set that is not there or cannot be used, or a prompt without {}.
        OutputError: For a folder that cannot be written.
    """
    check_report_folder(output)
    asked = tuple(prompts) or PROMPTS[name]
    wrong = [prompt for prompt in asked if prompt.count("{}") != 1]
    if wrong:
        raise DataError(f"a prompt {wrong[0]!r}", expected="one {} where the class is named")
    data = embed_labelled(
        model, name, root, gsd_m=gsd_m, limit=limit, batch=batch, seed=seed, start=start
    )
    methods = tuple(dict.fromkeys(methods))
    unseen = _unseen(data, methods)
    found = [_predict(method, data, model, asked) for method in methods]
    truth, classes = data.labels["test"], len(data.classes)
    estimates = [
        classification_estimates(truth, one.labels, classes, samples, seed) for one in found
    ]
    names = list(estimates[0])
    rows = [
        [one.method, *(shown_percent(numbers[metric]) for metric in names)]
        for one, numbers in zip(found, estimates, strict=True)
    ]
    sizes = ", ".join(f"{len(data.labels[split]):,} {split}" for split in data.labels)
    notes = [f"{classes} classes; {sizes}; {len(data.skipped)} skipped.", *data.notes]
    if unseen:
        notes.append(f"No training sample of {', '.join(unseen)}: linear and knn cannot find them.")
    notes += [f"Skipped: {file}: {reason}." for file, reason in data.skipped[:_LISTED]]
    notes += [f"{one.method}: {_said(one.chosen)}." for one in found]
    notes.append(f"Intervals: 95 %, {samples} bootstrap samples of the test split, seed {seed}.")
    content = {
        "model": describe_model(model),
        "data": {
            "name": name,
            "title": data.title,
            "root": str(root),
            "gsd_m": gsd_m,
            "limit": limit,
            "seed": seed,
        },
        "bootstrap": {"samples": samples, "seed": seed},
        "classes": list(data.classes),
        "samples": {split: len(labels) for split, labels in data.labels.items()},
        "results": [
            {
                "method": one.method,
                "chosen": one.chosen,
                "metrics": {metric: value.as_dict() for metric, value in numbers.items()},
            }
            for one, numbers in zip(found, estimates, strict=True)
        ],
        "skipped": [{"name": file, "reason": reason} for file, reason in data.skipped],
    }
    table = Table("Test split, %", ("method", *names), rows)
    report = Report(f"{model.name} on {data.title}", content, [table], notes)
    report.write(output)
    return report


def _unseen(data: LabelledVectors, methods: Sequence[Method]) -> list[str]:
    """Classes of the test split that the training split has nothing of.

    Raises:
        DataError: If there is nothing to be distinguished.
    """
    seen = np.unique(data.labels["train"])
    if len(seen) < 2 and set(methods) != {"zero-shot"}:
        raise DataError(
            f"the training split of {data.title} holds {len(seen)} class",
            expected="two or more",
            remedy="give a larger --limit, or none",
        )
    return [data.classes[i] for i in np.setdiff1d(data.labels["test"], seen)]


def _predict(
    method: Method, data: LabelledVectors, model: EvaluatedModel, prompts: Sequence[str]
) -> Predicted:
    if method == "knn":
        return nearest_neighbours(data)
    if method == "linear":
        return linear_probe(data)
    return zero_shot(data, model, prompts)


type _Part = tuple[NDArray[np.float32], NDArray[np.int64]]


def _parts(data: LabelledVectors) -> tuple[_Part, _Part, _Part, _Part]:
    train, val, test = ((data.vectors[s], data.labels[s]) for s in ("train", "val", "test"))
    both = (np.concatenate([train[0], val[0]]), np.concatenate([train[1], val[1]]))
    return train, val, both, test


def _fit(part: _Part, strength: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(
        StandardScaler(), LogisticRegression(C=strength, max_iter=MOST_ITERATIONS)
    )
    with warnings.catch_warnings():
        # Said in the report.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return probe.fit(*part)


def _accuracy(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], data: LabelledVectors
) -> float:
    return classification_metrics(truth, predicted, len(data.classes))["accuracy"]


def _said(chosen: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {value}" for key, value in chosen.items() if not isinstance(value, dict)
    )
