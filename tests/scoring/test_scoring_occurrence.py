"""Boyce index, AUC, average precision and reliability."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from s2s_map.scoring.occurrence import boyce, rank_correlation, ranking_metrics, reliability


def ecospat_boyce(presence: NDArray[np.float64], background: NDArray[np.float64]) -> float:
    """ecospat.boyce(fit, obs) line by line, without its shift of the last window."""
    width = (background.max() - background.min()) / 10
    low = min(presence.min(), background.min())
    high = max(presence.max(), background.max())
    starts = [low + i * (high - low - width) / 100 for i in range(101)]
    f, kept = [], []
    for start in starts:
        end = start + width + 1e-12
        pi = np.mean((presence >= start) & (presence <= end))
        ei = np.mean((background >= start) & (background <= end))
        if pi == 0 and ei == 0:
            continue
        f.append(np.inf if ei == 0 else round(pi / ei, 10))
        kept.append(start)
    r = [i for i in range(len(f)) if i == len(f) - 1 or f[i] != f[i + 1]]
    import pandas as pd

    frame = pd.DataFrame({"f": np.array(f)[r], "v": np.array(kept)[r]})
    return float(frame.f.rank().corr(frame.v.rank()))


@pytest.mark.parametrize("seed", range(6))
def test_boyce_is_ecospats(seed: int) -> None:
    random = np.random.default_rng(seed)
    background = random.beta(2, 4, 3000)
    presence = random.beta(2 + seed % 3, 3, 80)
    assert boyce(presence, background).index == pytest.approx(
        ecospat_boyce(presence, background), abs=1e-9
    )


def test_boyce_tells_good_from_bad_maps() -> None:
    random = np.random.default_rng(0)
    background = random.random(20_000)
    good = random.beta(3, 1, 4000)
    assert boyce(good, background).index > 0.97
    assert boyce(1 - good, background).index < -0.97
    assert np.isnan(boyce(np.ones(3), np.ones(9)).index)


def test_rank_correlation_is_pandas() -> None:
    import pandas as pd

    random = np.random.default_rng(2)
    a, b = random.integers(0, 6, (2, 50)).astype(float)
    expected = pd.Series(a).rank().corr(pd.Series(b).rank())
    assert rank_correlation(a, b) == pytest.approx(expected)
    assert np.isnan(rank_correlation(np.ones(4), np.arange(4.0)))


def test_ranking_metrics() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(1)
    present = random.random(200) < 0.3
    values = random.random(200) + 0.3 * present
    found = ranking_metrics(values, present)
    assert found["AUC"] == pytest.approx(roc_auc_score(present, values))
    assert 0.3 < found["average precision"] < 1
    assert np.isnan(ranking_metrics(values, np.ones(200, bool))["AUC"])


def test_reliability_of_honest_and_of_boastful_probabilities() -> None:
    random = np.random.default_rng(3)
    p = random.random(20_000)
    present = random.random(20_000) < p
    honest = reliability(p, present)
    assert honest.count.sum() == 20_000
    assert honest.error < 0.02
    assert honest.brier == pytest.approx(1 / 6, abs=0.01)
    assert reliability(p**0.2, present).error > 0.2
    # A bin without points is left out, and counts stay with their means.
    gap = reliability(np.array([0.05, 0.05, 1.0]), np.array([False, True, True]))
    assert gap.count.tolist() == [2, 1]
    assert gap.observed.tolist() == [0.5, 1.0]
