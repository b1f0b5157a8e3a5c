"""How well classes are distinguished."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from s2s_map.scoring.bootstrap import SAMPLES, Estimate, estimate


def classification_metrics(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int
) -> dict[str, float]:
    """Accuracy, balanced accuracy and macro F1.

    Balanced accuracy is the mean recall of the classes that occur; macro F1 the mean over the
    classes that occur or are predicted, as scikit-learn counts them.

    Args:
        truth: Class of each sample, 0 to classes - 1, (n,).
        predicted: What was predicted, (n,).
        classes: How many there are.
    """
    counts = np.bincount(truth * classes + predicted, minlength=classes**2)
    table = counts.reshape(classes, classes).astype(np.float64)
    right, true, said = np.diagonal(table), table.sum(axis=1), table.sum(axis=0)
    occurs, either = true > 0, true + said > 0
    return {
        "accuracy": float(right.sum() / table.sum()),
        "balanced accuracy": float((right[occurs] / true[occurs]).mean()),
        "macro F1": float((2 * right[either] / (true + said)[either]).mean()),
    }


def classification_estimates(
    truth: NDArray[np.integer],
    predicted: NDArray[np.integer],
    classes: int,
    samples: int = SAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """`classification_metrics` with bootstrap intervals over the samples."""
    return estimate(
        lambda drawn: classification_metrics(truth[drawn], predicted[drawn], classes),
        len(truth),
        samples=samples,
        seed=seed,
    )
