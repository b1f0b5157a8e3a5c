"""Whether imagery looks like what a model saw, in a line for each thing that is off."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.scale import MatchScale, MeasuredScale, PercentileScale, Scale
from s2s_map.config.seen import JOINT_LEVELS, PERCENTILES, SeenImagery
from s2s_map.imagery.collars import LEAST_SHARE
from s2s_map.imagery.colours import LEAST_PIXELS, joint_histogram
from s2s_map.imagery.sample import Sample
from s2s_map.imagery.scaling import to_8bit

COLOURS = ("red", "green", "blue")

# Thresholds; benchmarks/colours.py says what true-colour scenes and their parts come to.
BRIGHTER = 1.5
"""Deviations by which a band's mean may be above what the model saw."""
LIFTED = 1.2
"""The same of its darkest part: haze."""
CONTRAST = 0.3
"""Least share of the deviation that the model saw."""
NIGHT = 40
"""Level that almost nothing reaches in a picture of the night."""
RED_LAND = 0.12
"""Share of what is not dark that is as red as vegetation in false colour."""
AGREEMENT = 0.2
"""Least correlation of two bands of true colour."""
INVERTED = 0.5
"""How much likelier a negative is, natural logarithm a pixel."""
EXCHANGED = 0.3
"""How much likelier a picture with red and blue exchanged is, natural logarithm a pixel."""
CLIPPED = 0.2
"""Share of a band at 255 that is no longer snow or cloud."""
INNER_ZEROS = 0.02
"""Share of pixels that are 0 in all bands within a scene."""

_LIT = 40
# Mean of a picture that may be a negative; deviation of bands that should agree.
_BRIGHT, _VARIED = 128.0, 14.0
_LEAST_LIT = 0.02
_SMOOTH = 5.0


def judge(sample: Sample, scale: Scale | None, seen: SeenImagery | None) -> list[str]:
    """Return what is off with a source's colours, a line each with what to set; often nothing.

    Args:
        sample: Pixels of the source, as stored.
        scale: How they become 8 bit; its numbers must be known.
        seen: What the model saw; None: only what needs no comparison is said.
    """
    said = list(_rims(sample))
    if sample.count < LEAST_PIXELS:
        return said
    levels = to_8bit(sample.values, scale)
    advice = _advice(scale, seen)
    gross = list(_gross(levels, sample, advice))
    if gross or seen is None:
        return said + gross
    colours = list(_bands(levels))
    if not colours and isinstance(scale, MeasuredScale | tuple):
        colours = list(_bands(_together(sample.values)))
    return [*said, *colours, *_compared(levels, seen, advice)]


def _advice(scale: Scale | None, seen: SeenImagery | None) -> str:
    measured = isinstance(scale, MeasuredScale | PercentileScale | MatchScale)
    wanted = "auto" if seen is None else seen.advice
    return "look at it with s2s-map catalog check" if measured else f"set scale: {wanted}"


def _rims(sample: Sample) -> Iterator[str]:
    if sample.collar >= LEAST_SHARE:
        share = _percent(sample.collar)
        if sample.masked:
            yield (
                f"{share} of the pixels are exactly 0 in a collar around the imagery: taken as no "
                "data; set nodata: 0 to say so, or collar: keep"
            )
        else:
            yield (
                f"{share} of the pixels are exactly 0 in a collar: is that no data? set nodata: 0"
            )
    if sample.white >= 10 * LEAST_SHARE:
        yield (
            f"{_percent(sample.white)} of the pixels are exactly 255 in a collar: is that no data? "
            "set nodata: 255"
        )
    zeros = float((~sample.values.any(axis=0)).mean()) if sample.count else 0.0
    if zeros >= INNER_ZEROS and not (sample.collar >= LEAST_SHARE and not sample.masked):
        yield f"{_percent(zeros)} of the pixels are exactly 0: is that no data? set nodata: 0"


def _gross(levels: NDArray[np.uint8], sample: Sample, advice: str) -> Iterator[str]:
    """Yield what makes every comparison useless."""
    spread = [int(np.ptp(np.percentile(band, (2, 98)))) for band in levels]
    middle = [int(np.median(band)) for band in levels]
    if max(spread) < 2:
        yield (
            f"all of one colour ({', '.join(map(str, middle))} of 255): check bands: and scale:, "
            f"or {advice}"
        )
        return
    clipped = [float((band == 255).mean()) for band in levels]
    if max(clipped) > CLIPPED:
        worst = int(np.argmax(clipped))
        yield (
            f"{_percent(clipped[worst])} of {COLOURS[worst]} is at 255 and tells nothing apart: "
            f"raise max: of scale:, or {advice}"
        )
        return
    top = int(np.percentile(levels.max(axis=0), 98))
    if top < NIGHT:
        yield (
            f"almost black: 98 % of the pixels are below {top + 1} of 255: taken at night, or max: "
            f"of scale: is too high ({_range(sample)}); {advice}"
        )
        return
    steps = np.abs(np.diff(levels.astype(np.int16), axis=0))
    if float(steps.max(axis=0).mean()) < 1.0:
        yield "grey: the three bands are alike; models know colours, check bands:"


def _compared(levels: NDArray[np.uint8], seen: SeenImagery, advice: str) -> Iterator[str]:
    values = levels.astype(np.float64)
    mean, deviation = values.mean(axis=1), values.std(axis=1)
    known = np.array([band.mean for band in seen.bands])
    spread = np.array([band.deviation for band in seen.bands])
    contrast = deviation / spread
    bright = float(mean.mean()) > _BRIGHT
    inverted = _likelier(np.uint8(255) - levels, levels, seen)
    if bright and contrast.min() > INVERTED and inverted > INVERTED:
        yield "looks like a negative: bright and dark are exchanged; check the file"
        return
    brighter = (mean - known) / spread
    dark = PERCENTILES.index(2.0)
    floor = np.array([band.percentiles[dark] for band in seen.bands])
    lifted = (np.percentile(values, PERCENTILES[dark], axis=1) - floor) / spread
    for amount, limit, what in (
        (brighter, BRIGHTER, "is"),
        (lifted, LIFTED, "in its darkest parts is"),
    ):
        worst = int(amount.argmax())
        if amount[worst] > limit:
            yield (
                f"{COLOURS[worst]} {what} {amount[worst]:.1f} deviations brighter than what the "
                f"model saw: haze, or another scale; {advice}"
            )
            return
    if _likelier(levels[::-1], levels, seen) > EXCHANGED:
        # Haze is blue, too: then it goes away when each band is stretched.
        apart = _stretched(levels)
        if _likelier(apart[::-1], apart, seen) > EXCHANGED:
            yield (
                "looks as if red and blue were exchanged: exchange the first and the third of "
                "bands:"
            )
        else:
            yield (
                f"is bluer than what the model saw: of haze, {advice}; or red and blue are "
                "exchanged, check bands:"
            )
        return
    worst = int(contrast.argmin())
    if contrast[worst] < CONTRAST:
        yield (
            f"{COLOURS[worst]} has {_percent(float(contrast[worst]))} of the contrast that the "
            f"model saw: {advice}"
        )


def _together(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return values as 8 bit by one range for all bands: a stretch of each can hide their order."""
    low, high = np.percentile(values, (0.5, 99.7))
    shares = (values - low) / max(float(high - low), 1e-12)
    levels: NDArray[np.uint8] = np.rint(255.0 * np.clip(shares, 0.0, 1.0)).astype(np.uint8)
    return levels


def _stretched(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture with each band stretched by itself, about as by `scale: auto`."""
    low, high = np.percentile(levels, (0.5, 99.7), axis=1)[:, :, None]
    shares = np.clip((levels - low) / np.maximum(high - low, 1.0), 0.0, 1.0)
    stretched: NDArray[np.uint8] = np.rint(255.0 * shares ** (1 / 1.3)).astype(np.uint8)
    return stretched


def _bands(levels: NDArray[np.uint8]) -> Iterator[str]:
    top = levels.max(axis=0)
    lit = levels[:, top > _LIT].astype(np.float64)
    if lit.shape[1] < max(LEAST_PIXELS, _LEAST_LIT * levels.shape[1]):
        return
    remedy = "set bands: to red, green and blue"
    red, green, blue = lit
    least = lit.min(axis=0)
    vegetation = (
        (red >= lit.max(axis=0))
        & (red - least > 0.3 * red)
        & (np.maximum(green, blue) < 0.65 * red)
        & (green < 1.25 * blue)
    )
    share = float(vegetation.mean())
    if share > RED_LAND:
        yield (
            f"looks like false colour: vegetation is red ({_percent(share)} of the lit pixels); "
            f"{remedy}"
        )
        return
    if (lit.std(axis=1) < _VARIED).any():
        # Of one kind of land: bands differ by noise.
        return
    found: NDArray[np.float64] = np.asarray(np.corrcoef(lit))
    value, i, j = min((float(found[i, j]), i, j) for i, j in ((0, 1), (1, 2), (0, 2)))
    if value < AGREEMENT:
        yield (
            f"looks like false colour: {COLOURS[i]} and {COLOURS[j]} hardly agree (correlation "
            f"{value:.2f}); {remedy}"
        )


def _likelier(other: NDArray[np.uint8], levels: NDArray[np.uint8], seen: SeenImagery) -> float:
    """Return how much likelier another picture is, by the joint histogram, a pixel."""
    shares = np.full(JOINT_LEVELS**3, _SMOOTH)
    for key, count in seen.joint.items():
        shares[int(key, 8)] += count
    likelihood = np.log(shares / shares.sum())
    return float(((joint_histogram(other) - joint_histogram(levels)) * likelihood).sum())


def _range(sample: Sample) -> str:
    low, high = np.percentile(sample.values, (2, 98))
    return f"values {low:.6g} to {high:.6g}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"
