"""Colour jitter, as torchvision's, out of a generator of its own."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from s2s_map.config.train_sounds import JitterConfig


def jitter_colours(pixels: Tensor, config: JitterConfig, random: np.random.Generator) -> Tensor:
    """Change brightness, contrast, saturation and hue, in random order.

    The same distribution as `torchvision.transforms.ColorJitter`, which draws from torch's global
    generator: rows are changed in several threads, and each has its own seed.

    Args:
        pixels: Red, green, blue (3, H, W), uint8.
        config: The largest changes.
        random: Decides.
    """
    from torchvision.transforms import functional as change

    factors = {
        name: random.uniform(max(0.0, 1 - most), 1 + most)
        for name, most in (
            ("brightness", config.brightness),
            ("contrast", config.contrast),
            ("saturation", config.saturation),
        )
        if most
    }
    if config.hue:
        factors["hue"] = random.uniform(-config.hue, config.hue)
    for name in random.permutation(list(factors)):
        pixels = getattr(change, f"adjust_{name}")(pixels, float(factors[str(name)]))
    return pixels
