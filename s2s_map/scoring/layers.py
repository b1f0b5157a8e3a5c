"""A concept's layer of the maps, what its bands are called and how it is drawn, everywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.scoring.probability import NO_PROBABILITY

SIMILARITY_LABEL = "cosine similarity"

DISPLAY_PERCENTILES = (2.0, 98.0)
"""Percentiles of a layer's valid cells that its colours run between."""

_RANGE_CELLS = 4_000_000
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class ConceptLayer:
    """One concept on the map.

    Attributes:
        name: Base name of its files and its label in the Zarr, such as ``birds``.
        title: What a legend calls it, such as ``birdsong at dawn``.
        query: What was asked and how it was scored, anything JSON can hold.
        probability: Shape (time, y, x), float32, NaN for no data.
        similarity: Cosine similarity, shape (time, y, x), float32, NaN for no data.
        method: How the probability was made, which every legend says.

    Raises:
        ValueError: For a name that is no file name, or arrays of other shapes.
    """

    name: str
    title: str
    query: Mapping[str, Any]
    probability: NDArray[np.float32] = field(repr=False)
    similarity: NDArray[np.float32] = field(repr=False)
    method: str = "softmax, uncalibrated"

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} cannot name a file and a layer")
        if self.probability.ndim != 3 or self.probability.shape != self.similarity.shape:
            raise ValueError(
                f"layer {self.name} takes two arrays of one shape (time, y, x), got "
                f"{self.probability.shape} and {self.similarity.shape}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Time slots, rows and columns."""
        slots, ny, nx = self.probability.shape
        return slots, ny, nx

    @property
    def probability_label(self) -> str:
        """What the first band is, with its method, such as ``probability (softmax, ...)``."""
        if self.method == NO_PROBABILITY:
            return f"{SIMILARITY_LABEL} (no probability)"
        return f"probability ({self.method})"

    @property
    def band_descriptions(self) -> tuple[str, str]:
        """Descriptions of the two bands of the concept's GeoTIFF."""
        return (
            f"{self.title}: {self.probability_label}",
            f"{self.title}: {SIMILARITY_LABEL}",
        )

    def slot(self, index: int) -> ConceptLayer:
        """Return the layer with one of its time slots only."""
        one = slice(index, index + 1)
        return ConceptLayer(
            self.name,
            self.title,
            self.query,
            self.probability[one],
            self.similarity[one],
            self.method,
        )


def display_range(
    values: NDArray[np.floating[Any]],
    percentiles: tuple[float, float] = DISPLAY_PERCENTILES,
) -> tuple[float, float]:
    """Return the values between which a layer's colours run: two percentiles of its valid cells.

    A layer without valid cells gives (0, 1), and one of a single value a range around it, so
    that a colour ramp always has two different ends. Of more than 4 million cells, every k-th is
    taken.
    """
    flat = values.reshape(-1)
    flat = flat[:: max(1, flat.size // _RANGE_CELLS)]
    valid = flat[np.isfinite(flat)]
    if valid.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(valid, percentiles))
    if _same(low, high):
        low, high = float(valid.min()), float(valid.max())
    if _same(low, high):
        margin = max(abs(low) * 0.05, 1e-6)
        low, high = low - margin, high + margin
    return low, high


def _same(low: float, high: float) -> bool:
    return high - low <= 1e-6 * max(abs(low), abs(high), 1e-6)
