"""How well a map ranks labelled points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import DataError


@dataclass(frozen=True)
class RankedClass:
    """How well one query ranks the points of its class above all others.

    Attributes:
        auc: Area under the ROC curve; ties count half.
        low: 2.5th percentile over bootstrap samples of the points.
        high: 97.5th percentile.
        positives: Points of the class.
        negatives: Other points.
    """

    auc: float
    low: float
    high: float
    positives: int
    negatives: int


def rank_class(
    scores: NDArray[np.floating], positive: NDArray[np.bool_], samples: int = 1000, seed: int = 0
) -> RankedClass:
    """Return the area under the ROC curve of a class against the rest, with its interval.

    Args:
        scores: Score of each point, shape (n,), finite.
        positive: Which points are of the class, shape (n,).
        samples: Bootstrap samples, drawn within each side.
        seed: Of the bootstrap.

    Raises:
        DataError: If a score is missing, or one of the two sides is empty.
    """
    if not np.isfinite(scores).all():
        raise DataError(
            f"{int((~np.isfinite(scores)).sum())} points without a value on the map",
            remedy="take points within the map's valid cells",
        )
    inside, outside = scores[positive], scores[~positive]
    if not len(inside) or not len(outside):
        raise DataError(
            f"{len(inside)} points of the class and {len(outside)} others",
            expected="some of both",
        )
    generator = np.random.default_rng(seed)
    drawn = [
        roc_auc(generator.choice(inside, len(inside)), generator.choice(outside, len(outside)))
        for _ in range(samples)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    auc = roc_auc(inside, outside)
    return RankedClass(auc, float(low), float(high), len(inside), len(outside))


def roc_auc(inside: NDArray[np.floating], outside: NDArray[np.floating]) -> float:
    """Return the share of pairs in which the first scores above the second; ties count half."""
    ordered = np.sort(outside)
    below = np.searchsorted(ordered, inside, side="left")
    not_above = np.searchsorted(ordered, inside, side="right")
    return float((below + not_above).mean() / 2 / len(outside))
