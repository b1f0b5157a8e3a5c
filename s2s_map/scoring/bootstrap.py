"""Intervals by drawing the samples again, one by one or whole groups of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLES = 1000
LEVEL = (2.5, 97.5)
"""Percentiles of the interval."""

type Statistic = Callable[[NDArray[np.intp]], Mapping[str, float]]
"""Numbers by name of the samples of some indices."""


@dataclass(frozen=True)
class Estimate:
    """A number with its bootstrap interval.

    Attributes:
        value: From all samples.
        low: 2.5th percentile of the drawn ones; NaN: none could be computed.
        high: 97.5th percentile.
    """

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """Return it as JSON can hold it: what is not a number is null."""
        return {k: float(v) if np.isfinite(v) else None for k, v in asdict(self).items()}

    def scaled(self, factor: float) -> Estimate:
        """Return it in another unit, such as per cent."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


def redraw(
    count: int,
    samples: int = SAMPLES,
    seed: int = 0,
    groups: NDArray[np.integer] | None = None,
) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of bootstrap samples.

    Args:
        count: Samples there are.
        samples: Bootstrap samples to draw.
        seed: Of the draws: equal seeds give equal draws, for paired comparisons.
        groups: Group of each sample, (count,): whole groups are drawn, as many as there are. Used
            where neighbours are alike, such as points in one square of a map.
    """
    random = np.random.default_rng(seed)
    if groups is None:
        for _ in range(samples):
            yield random.integers(0, count, count)
        return
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[order], return_index=True)
    members = np.split(order, starts[1:])
    for _ in range(samples):
        drawn = random.integers(0, len(members), len(members))
        yield np.concatenate([members[i] for i in drawn])


def estimate(
    statistic: Statistic,
    count: int,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    groups: NDArray[np.integer] | None = None,
) -> dict[str, Estimate]:
    """Numbers with their percentile intervals.

    Draws for which a number is NaN, such as those with one class only, do not count for it.

    Args:
        statistic: Gives the numbers of the samples of some indices.
        count: Samples there are.
        samples: Bootstrap samples.
        seed: Of the draws.
        groups: See `redraw`.
    """
    whole = statistic(np.arange(count))
    drawn: dict[str, list[float]] = {name: [] for name in whole}
    for indices in redraw(count, samples, seed, groups):
        for name, value in statistic(indices).items():
            if np.isfinite(value):
                drawn[name].append(value)
    return {name: Estimate(value, *_bounds(drawn[name])) for name, value in whole.items()}


def _bounds(values: list[float]) -> tuple[float, float]:
    if not values:
        return float("nan"), float("nan")
    low, high = np.percentile(values, LEVEL)
    return float(low), float(high)
