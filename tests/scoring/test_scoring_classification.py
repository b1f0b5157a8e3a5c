"""Accuracy, balanced accuracy and F1."""

from __future__ import annotations

import numpy as np
import pytest

from s2s_map.scoring.classification import classification_estimates, classification_metrics


def test_metrics_are_scikit_learns() -> None:
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 300)
    predicted = np.where(random.random(300) < 0.6, truth, random.integers(0, 5, 300))
    found = classification_metrics(truth, predicted, 6)
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    recalls = [(predicted[truth == c] == c).mean() for c in range(4)]
    assert found["balanced accuracy"] == pytest.approx(np.mean(recalls))
    kept = predicted < 4
    assert classification_metrics(truth[kept], predicted[kept], 6)[
        "balanced accuracy"
    ] == pytest.approx(balanced_accuracy_score(truth[kept], predicted[kept]))
    assert found["macro F1"] == pytest.approx(f1_score(truth, predicted, average="macro"))


def test_intervals() -> None:
    truth = np.arange(100) % 3
    found = classification_estimates(truth, np.zeros(100, int), 3, samples=50)["accuracy"]
    assert found.low < found.value == 0.34 < found.high
