"""The baseline of the embedded model: logistic regression on colour mean and deviation.

Fitted on the hand-drawn labels of the demo scene's west outside the validation rows, judged within
them, on the same pixels as the model.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from s2s_mini.landcover import COVERS
from s2s_mini.prepare import UNLABELLED, VALIDATION_ROWS
from s2s_mini.scene_cover import local_statistics
from s2s_mini.validate import CLASSES, EVERY_PX

log = logging.getLogger(__name__)

PER_CLASS = 2000


def judge_baseline(folder: Path) -> dict[str, float]:
    """Fit, judge and return the AUC of each class."""
    with np.load(folder / "iguacu-west.npz", allow_pickle=False) as scene:
        rgb, valid, labels = scene["rgb"], scene["valid"], scene["labels"]
    truth = np.full(labels.shape, -1)
    for index, covers in enumerate(CLASSES.values()):
        truth[np.isin(labels, [COVERS.index(c) for c in covers])] = index
    truth[(labels == UNLABELLED) | ~valid] = -1
    held_out = np.zeros(labels.shape, bool)
    for first, last in VALIDATION_ROWS:
        held_out[first:last] = True
    grid = np.zeros_like(held_out)
    grid[::EVERY_PX, ::EVERY_PX] = True
    features = local_statistics(rgb, valid)
    generator = np.random.default_rng(0)
    rows, columns = np.concatenate(
        [
            generator.choice(np.argwhere((truth == index) & ~held_out), PER_CLASS)
            for index in range(len(CLASSES))
        ]
    ).T
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(features[rows, columns], truth[rows, columns])
    judged = (truth >= 0) & held_out & grid
    probability = model.predict_proba(features[judged])
    scores = {
        name: float(roc_auc_score(truth[judged] == index, probability[:, index]))
        for index, name in enumerate(CLASSES)
    }
    log.info("%d pixels: %s", judged.sum(), {k: round(v, 4) for k, v in scores.items()})
    return scores
