"""Source values to 8 bit: the same levels on every machine."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.scale import Curve, FixedScale, MeasuredScale, Scale, ValueScale
from s2s_map.errors import ImageryError

_LEVELS = 255


def to_8bit(values: NDArray[np.float32], scale: Scale | FixedScale | None) -> NDArray[np.uint8]:
    """Return values as 8 bit.

    With a scale: ``255 * clip((v - min) / (max - min), 0, 1) ** (1 / gamma)``, rounded, or by its
    curve; without one, values are 0 to 255 already and are rounded. Powers differ in their last
    bit between processors: with a gamma or a curve, a level is the count of thresholds that a
    value reaches.

    Args:
        values: Source values, any shape; (3, ...) for a scale of each band.
        scale: The scale; None for values that are 8 bit already.

    Raises:
        ImageryError: For a scale that is still to be measured.
    """
    if scale is None or isinstance(scale, ValueScale):
        return _one_band(values, scale)
    return np.stack([_one_band(b, s) for b, s in zip(values, by_band(scale), strict=True)])


def by_band(scale: Scale | FixedScale) -> tuple[ValueScale | Curve, ...]:
    """Return the scale of red, green and blue.

    Raises:
        ImageryError: For a scale that is still to be measured.
    """
    if isinstance(scale, ValueScale):
        return scale, scale, scale
    if isinstance(scale, tuple):
        return scale
    if isinstance(scale, MeasuredScale):
        found: tuple[ValueScale | Curve, ...] | None = scale.bands or scale.curves
        if found is not None:
            return found
    raise ImageryError(
        "scale: auto, percentiles and match are measured when a run starts",
        expected="numbers",
        remedy="write scale: with the numbers that s2s-map catalog check prints",
    )


def _one_band(values: NDArray[np.float32], scale: ValueScale | Curve | None) -> NDArray[np.uint8]:
    if scale is not None and not (isinstance(scale, ValueScale) and scale.gamma == 1.0):
        return np.searchsorted(thresholds(scale), values, side="right").astype(np.uint8)
    if isinstance(scale, ValueScale):
        values = (values - np.float32(scale.min)) / np.float32(scale.max - scale.min)
        values = np.clip(values, 0.0, 1.0) * np.float32(255.0)
    # Interpolation overshoots at edges.
    rounded = np.rint(values)
    return np.clip(rounded, 0.0, 255.0, out=rounded).astype(np.uint8)


@lru_cache(maxsize=64)
def thresholds(scale: ValueScale | Curve) -> NDArray[np.float32]:
    """Return the least source value of each level from 1 to 255, float32, ascending.

    Args:
        scale: The scale of one band.
    """
    halves = [(level - 0.5) for level in range(1, _LEVELS + 1)]
    if isinstance(scale, ValueScale):
        width = scale.max - scale.min
        found = [scale.min + width * (half / _LEVELS) ** scale.gamma for half in halves]
    else:
        found = [_value_at(scale, half) for half in halves]
    # Nine digits: more than a float32 has, fewer than powers are sure of.
    return np.array([float(f"{value:.9g}") for value in found], dtype=np.float32)


def _value_at(curve: Curve, level: float) -> float:
    """Return the least value that a curve brings to a level; infinity if none."""
    first = curve[0]
    if level <= first[1]:
        return -float("inf")
    for (x0, y0), (x1, y1) in pairwise(curve):
        if level <= y1:
            return x0 + (x1 - x0) * ((level - y0) / (y1 - y0))
    return float("inf")
