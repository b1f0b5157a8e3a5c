"""Source values to 8 bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.catalog import ValueScale


def to_8bit(values: NDArray[np.float32], scale: ValueScale | None) -> NDArray[np.uint8]:
    """Return values as 8 bit.

    With a scale: ``255 * clip((v - min) / (max - min), 0, 1) ** (1 / gamma)``; without one,
    values are 0 to 255 already and are rounded.

    Args:
        values: Source values, any shape.
        scale: The scale; None for values that are 8 bit already.
    """
    if scale is not None:
        values = (values - np.float32(scale.min)) / np.float32(scale.max - scale.min)
        values = np.clip(values, 0.0, 1.0)
        if scale.gamma != 1.0:
            values = values ** np.float32(1.0 / scale.gamma)
        values = values * np.float32(255.0)
    # Interpolation overshoots at edges.
    rounded = np.rint(values)
    return np.clip(rounded, 0.0, 255.0, out=rounded).astype(np.uint8)
