"""How well the values of a map agree with where something was found, and where it was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOWS = 101
"""Positions of the moving window of the continuous Boyce index."""

WINDOW_SHARE = 0.1
"""Width of the window, as a share of the range of the values."""


@dataclass(frozen=True, eq=False)
class BoyceCurve:
    """How much more often than expected something is found, over the values of a map.

    Attributes:
        index: The continuous Boyce index, -1 to 1: rank correlation of value and ratio. NaN where
            the values do not differ.
        value: Middle of each window, (n,).
        ratio: Share of presences over share of background in each window, (n,).
    """

    index: float
    value: NDArray[np.float64]
    ratio: NDArray[np.float64]


def boyce(presence: NDArray[np.floating], background: NDArray[np.floating]) -> BoyceCurve:
    """Continuous Boyce index of a map.

    Hirzel et al. 2006, doi:10.1016/j.ecolmodel.2006.05.017, with the defaults of ecospat's
    ``ecospat.boyce``: 101 windows of a tenth of the background's range, those with neither presence
    nor background left out, of neighbours with equal ratios the last one counted, and Spearman's
    rank correlation between the windows' values and ratios. (ecospat shifts its last window out
    of a map of 0 to 1; here it counts.)

    Args:
        presence: Values of the map where it was found, (n,), finite.
        background: Values at points that stand for where one looked, (m,), finite.
    """
    low = float(min(presence.min(), background.min()))
    high = float(max(presence.max(), background.max()))
    # The width is a tenth of the background's range, as in ecospat.
    width = float(background.max() - background.min()) * WINDOW_SHARE
    starts = np.linspace(low, high - width, WINDOWS)
    if not high > low:
        return BoyceCurve(float("nan"), starts[:1], np.ones(1))
    ends = starts + width
    ends[-1] = np.inf  # rounding must not lose the largest value
    found = _within(np.sort(presence), starts, ends) / len(presence)
    expected = _within(np.sort(background), starts, ends) / len(background)
    kept = (found > 0) | (expected > 0)
    with np.errstate(divide="ignore"):
        ratio = np.round(found[kept] / expected[kept], 10)
    middle = starts[kept] + width / 2
    last_of_equals = np.append(ratio[:-1] != ratio[1:], True)
    index = rank_correlation(ratio[last_of_equals], middle[last_of_equals])
    return BoyceCurve(index, middle, ratio)


def _within(
    ordered: NDArray[np.floating], starts: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.intp]:
    first = np.searchsorted(ordered, starts, side="left")
    return np.asarray(np.searchsorted(ordered, ends, side="right") - first)


def rank_correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Spearman's rank correlation; equals share the mean of their ranks. NaN if undefined."""
    from scipy.stats import rankdata

    if len(a) < 2:
        return float("nan")
    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 0 else float("nan")


def ranking_metrics(values: NDArray[np.floating], present: NDArray[np.bool_]) -> dict[str, float]:
    """Area under the ROC curve and average precision; NaN where one class is missing."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if present.all() or not present.any():
        return {"AUC": float("nan"), "average precision": float("nan")}
    return {
        "AUC": float(roc_auc_score(present, values)),
        "average precision": float(average_precision_score(present, values)),
    }


@dataclass(frozen=True, eq=False)
class Reliability:
    """Whether what is given a probability happens as often.

    Attributes:
        predicted: Mean probability of each bin that holds points, (n,).
        observed: Share of presences in it, (n,).
        count: Points in it, (n,).
        brier: Mean squared difference of probability and outcome; 0 is best.
        error: Mean difference of predicted and observed over the points (expected calibration
            error).
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    count: NDArray[np.intp]
    brier: float
    error: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "predicted": self.predicted.tolist(),
            "observed": self.observed.tolist(),
            "count": self.count.tolist(),
            "brier": self.brier,
            "expected calibration error": self.error,
        }


def reliability(
    probability: NDArray[np.floating], present: NDArray[np.bool_], bins: int = 10
) -> Reliability:
    """Reliability diagram over bins of equal width between 0 and 1.

    Args:
        probability: 0 to 1, (n,).
        present: What was found, (n,).
        bins: How many.
    """
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import brier_score_loss

    observed, predicted = calibration_curve(present, probability, n_bins=bins)
    # Its own bins, so that the counts are those of its means.
    edges = np.linspace(0.0, 1.0, bins + 1)
    counts = np.bincount(np.searchsorted(edges[1:-1], probability), minlength=bins)
    counts = counts[counts > 0]
    error = float(np.abs(observed - predicted) @ counts / counts.sum())
    return Reliability(
        np.asarray(predicted, dtype=np.float64),
        np.asarray(observed, dtype=np.float64),
        counts,
        float(brier_score_loss(present, probability)),
        error,
    )
