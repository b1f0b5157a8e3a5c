"""The colours of the scenes that a model is trained on, as they are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2s_map.config.seen import SeenImagery
from s2s_map.imagery.colours import seen_in
from s2s_mini.config import TrainConfig
from s2s_mini.scenes import TrainingScene

_PIXELS = 400_000


def seen_of(config: TrainConfig, scenes: Sequence[TrainingScene]) -> SeenImagery:
    """Return what a model sees: pixels of each scene by its weight, rows held out left out.

    Args:
        config: The training config.
        scenes: Its scenes, in their order.
    """
    total = sum(scene.weight for scene in config.scenes)
    parts = []
    for named, scene in zip(config.scenes, scenes, strict=True):
        pixels = scene.rgb[:, scene.usable]
        count = max(1, round(_PIXELS * named.weight / total))
        parts.append(pixels[:, (np.arange(count) * pixels.shape[1]) // count])
    names = ", ".join(scene.file.removesuffix(".npz") for scene in config.scenes)
    return seen_in(np.concatenate(parts, axis=1), f"{names}; {config.stretch}")
