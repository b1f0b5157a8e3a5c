"""Colours of imagery: what a model saw, and how a source is brought there. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.scale import (
    Curve,
    MatchScale,
    MeasuredScale,
    PercentileScale,
    ValueScale,
)
from s2s_map.config.seen import JOINT_LEVELS, PERCENTILES, SeenBand, SeenImagery
from s2s_map.errors import ConfigError, ImageryError

LEAST_PIXELS = 200
"""Of a sample, for it to say anything."""

_TOP = 255.0


def seen_in(levels: NDArray[np.uint8], source: str, advice: str = "auto") -> SeenImagery:
    """Return what a model sees in training imagery.

    Args:
        levels: Red, green, blue as the model gets them, shape (3, n).
        source: Which imagery, and how it became 8 bit.
        advice: The `scale:` to recommend for numbers that are not 8 bit.

    Raises:
        ImageryError: For fewer than 200 pixels, or a band of one level.
    """
    if levels.shape[1] < LEAST_PIXELS:
        raise ImageryError(f"{levels.shape[1]} pixels", expected=f"at least {LEAST_PIXELS}")
    joint = joint_histogram(levels)
    bands = [_band(band) for band in levels]
    return SeenImagery(
        source=source,
        red=bands[0],
        green=bands[1],
        blue=bands[2],
        joint={f"{i:03o}": round(1e6 * share) for i, share in enumerate(joint) if share >= 5e-7},
        zeros=round(float((~levels.any(axis=0)).mean()), 6),
        pixels=levels.shape[1],
        advice=advice,
    )


def joint_histogram(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the share of pixels in each of 512 cubes of colour, red in the first digit."""
    cubes = (levels // (256 // JOINT_LEVELS)).astype(np.int64)
    index = (cubes[0] * JOINT_LEVELS + cubes[1]) * JOINT_LEVELS + cubes[2]
    counts = np.bincount(index, minlength=JOINT_LEVELS**3).astype(np.float64)
    shares: NDArray[np.float64] = counts / max(1, index.size)
    return shares


def measured_scale(
    asked: PercentileScale | MatchScale, values: NDArray[np.float32], seen: SeenImagery | None
) -> MeasuredScale:
    """Return the numbers of a scale that is measured.

    Every number is one of the sample's own or of the card's, so that no machine rounds it another
    way.

    Args:
        asked: What the entry says.
        values: Observed pixels of the source as stored, shape (3, n).
        seen: What the model saw; `match` needs it.

    Raises:
        ConfigError: For `match` and a model whose card does not say what it saw.
        ImageryError: For too few pixels, or a band without two different values.
    """
    if values.shape[1] < LEAST_PIXELS:
        raise ImageryError(
            f"scale: {_name(asked)} found {values.shape[1]} observed pixels",
            expected=f"at least {LEAST_PIXELS}",
            remedy="write scale: {min: ..., max: ...}",
        )
    ordered = np.sort(values, axis=1)
    if isinstance(asked, PercentileScale):
        low, high = ([_at(band, p) for band in ordered] for p in asked.percentiles)
        for colour, a, b in zip(("red", "green", "blue"), low, high, strict=True):
            if not a < b:
                raise ImageryError(
                    f"scale: {_name(asked)} found nothing but {a:g} in {colour}",
                    expected="bands with contrast",
                    remedy="check bands: and nodata:, or write scale: {min: ..., max: ...}",
                )
        red, green, blue = (
            ValueScale(min=a, max=b, gamma=asked.gamma) for a, b in zip(low, high, strict=True)
        )
        return MeasuredScale(asked=asked, bands=(red, green, blue))
    if seen is None:
        raise ConfigError(
            "scale: match, but the model's card does not say what it saw",
            expected="a model with seen: in its card",
            remedy="use scale: auto, or make it: s2s-map models reference MODEL --source NAME",
        )
    curves = [_curve(band, b) for band, b in zip(ordered, seen.bands, strict=True)]
    return MeasuredScale(
        asked=asked, reference=seen.sha256, curves=(curves[0], curves[1], curves[2])
    )


def _name(asked: PercentileScale | MatchScale) -> str:
    return "match" if isinstance(asked, MatchScale) else "auto"


def _band(band: NDArray[np.uint8]) -> SeenBand:
    ordered = np.sort(band)
    if ordered[0] == ordered[-1]:
        raise ImageryError(f"a band with no level but {ordered[0]}", expected="imagery")
    return SeenBand(
        percentiles=tuple(_at(ordered, p) for p in PERCENTILES),
        mean=round(float(band.mean(dtype=np.float64)), 2),
        deviation=round(float(band.std(dtype=np.float64)), 2),
    )


def _at(ordered: NDArray[np.generic], percent: float) -> float:
    """Return the value of a sorted band at a percentile: one that is there."""
    last = len(ordered) - 1
    # Thousandths of a percent, in whole numbers.
    return float(ordered[(last * round(percent * 1000) + 50_000) // 100_000])


def _curve(ordered: NDArray[np.float32], seen: SeenBand) -> Curve:
    points = [
        (_at(ordered, p), level) for p, level in zip(PERCENTILES, seen.percentiles, strict=True)
    ]
    curve = _ascending(points)
    if len(curve) < 2:
        raise ImageryError(
            "scale: match found nothing but one value in a band",
            expected="bands with contrast",
            remedy="check bands: and nodata:, or write scale: {min: ..., max: ...}",
        )
    # Beyond the outermost percentiles it goes on as steeply as between them.
    (x0, y0), (x1, y1) = curve[0], curve[-1]
    a_level = (x1 - x0) / max(y1 - y0, 1.0)
    ends = [(x0 - y0 * a_level, 0.0)] if y0 > 0.0 else []
    more = [(x1 + (_TOP - y1) * a_level, _TOP)] if y1 < _TOP else []
    return tuple(ends + curve + more)


def _ascending(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return points of which no two have the same value: the middle level of those that have."""
    by_value: dict[float, list[float]] = {}
    for value, level in points:
        by_value.setdefault(value, []).append(level)
    return [(value, sum(levels) / len(levels)) for value, levels in by_value.items()]
