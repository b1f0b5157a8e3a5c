"""What is said of a layer's cells as a whole: statistics, and the range its colours run between."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

DISPLAY_PERCENTILES = (2.0, 98.0)
"""Percentiles of a layer's valid cells that its colours run between."""

_RANGE_CELLS = 4_000_000
# Rows read at once, the side of a chunk of maps.zarr, and rows summed at once in float64.
_READ_ROWS = 512
_SUM_ROWS = 64


class LayerCells(Protocol):
    """Cells of a layer, (time, y, x), float32: an array in memory, or one read when indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Time slots, rows and columns."""

    def __getitem__(self, key: Any, /) -> NDArray[np.float32]:
        """Return a part in memory."""


@dataclass(frozen=True)
class BandStatistics:
    """Statistics of all cells of one band at full resolution.

    Attributes:
        cells: Number of cells.
        valid: Those that hold data.
        minimum: Smallest valid value, 0 if none is valid; so the others.
        maximum: Largest valid value.
        mean: Mean of the valid values.
        stddev: Their standard deviation, of the population.
    """

    cells: int
    valid: int
    minimum: float = 0.0
    maximum: float = 0.0
    mean: float = 0.0
    stddev: float = 0.0

    @classmethod
    def of(cls, values: NDArray[np.floating[Any]]) -> Self:
        """Return the statistics of an array; NaN is no data."""
        valid = values[np.isfinite(values)].astype(np.float64)
        if valid.size == 0:
            return cls(values.size, 0)
        low, high = float(valid.min()), float(valid.max())
        return cls(values.size, valid.size, low, high, float(valid.mean()), float(valid.std()))

    def __add__(self, other: BandStatistics) -> BandStatistics:
        """Return the statistics of both together (Chan, Golub and LeVeque 1979)."""
        cells, valid = self.cells + other.cells, self.valid + other.valid
        if not (self.valid and other.valid):
            one = self if self.valid else other
            return BandStatistics(cells, valid, one.minimum, one.maximum, one.mean, one.stddev)
        step = other.mean - self.mean
        share = other.valid / valid
        variance = (
            self.stddev**2 * (1 - share) + other.stddev**2 * share + step**2 * share * (1 - share)
        )
        return BandStatistics(
            cells,
            valid,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.mean + step * share,
            math.sqrt(variance),
        )


@dataclass(frozen=True)
class LayerSummary:
    """What is said of a layer as a whole.

    Attributes:
        probability: Statistics of every time slot.
        similarity: The same of the similarity.
        colour_range: Where the colours of the probability begin and end, for all time slots.
    """

    probability: tuple[BandStatistics, ...]
    similarity: tuple[BandStatistics, ...]
    colour_range: tuple[float, float]

    @classmethod
    def of(cls, probability: LayerCells, similarity: LayerCells) -> Self:
        """Return the summary of a layer's cells, read by strips so that memory stays bounded.

        Args:
            probability: Shape (time, y, x).
            similarity: Of the same shape.
        """
        slots, rows, columns = probability.shape
        every = max(1, slots * rows * columns // _RANGE_CELLS)
        sampled: list[NDArray[np.float32]] = []
        statistics, begun = [], 0
        for slot in range(slots):
            total = BandStatistics(0, 0)
            for strip in _strips(probability, slot):
                flat = strip.reshape(-1)
                sampled.append(flat[-begun % every :: every].copy())
                begun += flat.size
                total = _added(total, strip)
            statistics.append(total)
        similar = []
        for slot in range(slots):
            total = BandStatistics(0, 0)
            for strip in _strips(similarity, slot):
                total = _added(total, strip)
            similar.append(total)
        whole = sampled[0][:0] if not sampled else np.concatenate(sampled)
        return cls(tuple(statistics), tuple(similar), _range_of(whole))

    def slot(self, index: int) -> LayerSummary:
        """Return the summary of one time slot, its colours as those of all."""
        one = slice(index, index + 1)
        return LayerSummary(self.probability[one], self.similarity[one], self.colour_range)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; `from_dict` gives the same summary back."""
        return {
            "probability": [asdict(s) for s in self.probability],
            "similarity": [asdict(s) for s in self.similarity],
            "colour_range": list(self.colour_range),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Return the summary that `as_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: For anything else.
        """
        low, high = (float(v) for v in content["colour_range"])
        return cls(
            tuple(BandStatistics(**s) for s in content["probability"]),
            tuple(BandStatistics(**s) for s in content["similarity"]),
            (low, high),
        )


def _strips(cells: LayerCells, slot: int) -> Iterator[NDArray[np.float32]]:
    for top in range(0, cells.shape[1], _READ_ROWS):
        yield np.ascontiguousarray(cells[slot, top : top + _READ_ROWS])


def _added(total: BandStatistics, strip: NDArray[np.float32]) -> BandStatistics:
    for top in range(0, len(strip), _SUM_ROWS):
        total = total + BandStatistics.of(strip[top : top + _SUM_ROWS])
    return total


def _range_of(sample: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Two percentiles of the valid cells, and always two different ends: (0, 1) without any."""
    valid = sample[np.isfinite(sample)]
    if valid.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(valid, DISPLAY_PERCENTILES))
    if _same(low, high):
        low, high = float(valid.min()), float(valid.max())
    if _same(low, high):
        margin = max(abs(low) * 0.05, 1e-6)
        low, high = low - margin, high + margin
    return low, high


def _same(low: float, high: float) -> bool:
    return high - low <= 1e-6 * max(abs(low), abs(high), 1e-6)
