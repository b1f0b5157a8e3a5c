"""A concept's layer of the maps and what its bands are called, everywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from s2s_map.scoring.probability import NO_PROBABILITY
from s2s_map.scoring.summary import LayerCells, LayerSummary

SIMILARITY_LABEL = "cosine similarity"
NOWHERE = "nowhere likely here"
"""What a layer says that nowhere rises above its background."""

FLOOR = 5.0
"""The brightest colour stands for this many times `ConceptLayer.even_share` at least."""

_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class ConceptLayer:
    """One concept on the map.

    Attributes:
        name: Base name of its files and its label in the Zarr, such as ``birds``.
        title: What a legend calls it, such as ``birdsong at dawn``.
        query: What was asked and how it was scored, anything JSON can hold.
        probability: Shape (time, y, x), float32, NaN for no data; an array, or cells of a
            ``maps.zarr`` that are read when indexed.
        similarity: Cosine similarity, shape (time, y, x), float32, NaN for no data.
        method: How the probability was made, which every legend says.
        known: Its summary, if it was made before.

    Raises:
        ValueError: For a name that is not a file name, or arrays of other shapes.
    """

    name: str
    title: str
    query: Mapping[str, Any]
    probability: LayerCells = field(repr=False)
    similarity: LayerCells = field(repr=False)
    method: str = "softmax, uncalibrated"
    known: LayerSummary | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} cannot name a file and a layer")
        if len(self.probability.shape) != 3 or self.probability.shape != self.similarity.shape:
            raise ValueError(
                f"layer {self.name} takes two arrays of one shape (time, y, x), got "
                f"{self.probability.shape} and {self.similarity.shape}"
            )

    @cached_property
    def summary(self) -> LayerSummary:
        """Statistics and colour range; worked out when first asked for, unless known."""
        return self.known or LayerSummary.of(self.probability, self.similarity)

    @property
    def even_share(self) -> float | None:
        """Probability where the query fits as well as each text of its background, 1 / (1 + n).

        None for a layer without a background, such as a similarity.
        """
        softmax = self.query.get("softmax")
        if not softmax:
            return None
        background = softmax["vocabulary_size"] - len(softmax["near_synonyms_dropped"])
        return 1.0 / (1.0 + float(background))

    @property
    def is_nowhere(self) -> bool:
        """Whether no cell rises above the background, so that the query is likely nowhere."""
        share = self.even_share
        bands = [band for band in self.summary.probability if band.valid]
        return share is not None and bool(bands) and all(band.maximum < share for band in bands)

    @property
    def colour_range(self) -> tuple[float, float]:
        """Where the colours begin and end: that of the summary, on an absolute floor.

        Colours stretched to a layer's own cells alone would draw a layer whose largest
        probability is 0.0001 as bright as one of 0.9.
        """
        low, high = self.summary.colour_range
        if not self.is_floored:
            return low, high
        return 0.0, FLOOR * (self.even_share or 0.0)

    @property
    def is_floored(self) -> bool:
        """Whether the brightest colour stands for the floor, not for a percentile."""
        share = self.even_share
        return share is not None and self.summary.colour_range[1] < FLOOR * share

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
    def doubts(self) -> tuple[str, ...]:
        """What speaks against the layer: its question is not understood, or likely nowhere."""
        level = self.query.get("understood", {}).get("level") or "understood"
        asked = () if level == "understood" else (f"question: {level}",)
        return (*asked, NOWHERE) if self.is_nowhere else asked

    @property
    def label(self) -> str:
        """What the first band is, with what speaks against it."""
        return "; ".join((self.probability_label, *self.doubts))

    @property
    def band_descriptions(self) -> tuple[str, str]:
        """Descriptions of the two bands of the concept's GeoTIFF."""
        return (
            f"{self.title}: {self.label}",
            f"{self.title}: {SIMILARITY_LABEL}",
        )

    def described(self) -> dict[str, Any]:
        """Return title, method and query, as JSON can hold it."""
        return {"title": self.title, "method": self.method, "query": dict(self.query)}
