"""Ranking of labelled points."""

from __future__ import annotations

import numpy as np
import pytest

from s2s_map.errors import DataError
from s2s_map.evaluation.points import rank_class, roc_auc


def test_by_hand() -> None:
    assert roc_auc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == pytest.approx(3.5 / 4)


def test_equals_sklearn_with_ties() -> None:
    from sklearn.metrics import roc_auc_score

    generator = np.random.default_rng(1)
    scores, positive = generator.integers(0, 9, 200).astype(float), generator.random(200) < 0.3
    ranked = rank_class(scores, positive, samples=200)
    assert ranked.auc == pytest.approx(roc_auc_score(positive, scores))
    assert ranked.low < ranked.auc < ranked.high
    assert ranked == rank_class(scores, positive, samples=200)


def test_refusals() -> None:
    with pytest.raises(DataError, match="without a value"):
        rank_class(np.array([np.nan, 1.0]), np.array([True, False]))
    with pytest.raises(DataError, match="some of both"):
        rank_class(np.array([0.0, 1.0]), np.array([True, True]))
