"""Named array shapes, checked where they are made, so that a wrong shape is named at its source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, order=True)
class Hole:
    """Imagery that should have been there and could not be read.

    Attributes:
        reason: Why, in one line.
        uri: What could not be read, without queries, signatures or keys.
        count: How many pieces of it, such as web tiles.
    """

    reason: str
    uri: str
    count: int = 1


def merge_holes(holes: Iterable[Hole]) -> tuple[Hole, ...]:
    """Return holes in order, those of one URI and reason as one.

    Examples:
        >>> merge_holes([Hole("gone", "b"), Hole("gone", "a"), Hole("gone", "b", 2)])
        (Hole(reason='gone', uri='a', count=1), Hole(reason='gone', uri='b', count=3))
    """
    counts: dict[tuple[str, str], int] = {}
    for hole in holes:
        key = (hole.reason, hole.uri)
        counts[key] = counts.get(key, 0) + hole.count
    return tuple(Hole(*key, count) for key, count in sorted(counts.items()))


@dataclass(frozen=True, eq=False)
class ImageBlock:
    """The imagery of one block on the model's pixel lattice.

    Attributes:
        pixels: Red, green, blue, 8 bit, shape (3, y, x), north up.
        valid: Where a pixel was observed, shape (y, x).
        holes: What could not be read, and is not observed for that reason.

    Raises:
        TypeError: For another dtype.
        ValueError: For shapes that do not belong together.
    """

    pixels: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    holes: tuple[Hole, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.valid.dtype != np.bool_:
            raise TypeError(
                f"ImageBlock takes uint8 pixels and a bool mask, got {self.pixels.dtype} "
                f"and {self.valid.dtype}"
            )
        if self.pixels.ndim != 3 or self.pixels.shape[0] != 3:
            raise ValueError(f"ImageBlock takes pixels of shape (3, y, x), got {self.pixels.shape}")
        if self.valid.shape != self.pixels.shape[1:]:
            raise ValueError(
                f"ImageBlock mask is {self.valid.shape}, its pixels {self.pixels.shape[1:]}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.valid.shape[0], self.valid.shape[1]

    @property
    def valid_fraction(self) -> float:
        """Share of observed pixels, 0 to 1."""
        return float(self.valid.mean()) if self.valid.size else 0.0
