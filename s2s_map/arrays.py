"""Named array shapes, checked where they are made, so that a wrong shape is named at its source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2s_map.redaction import redacted

type Pieces = tuple[int, int, int, int]
"""A run of pieces along a row: level, row, first column, column behind the last."""


@dataclass(frozen=True, order=True)
class Hole:
    """Imagery that should have been there and could not be read.

    Attributes:
        reason: Why, in one line.
        uri: What could not be read, without queries, signatures or keys.
        count: How many pieces of it, such as web tiles.
        pieces: Which ones, if they have numbers: (level, row, first column, column behind the
            last). Blocks that overlap may miss the same ones.
    """

    reason: str
    uri: str
    count: int = 1
    pieces: tuple[Pieces, ...] = ()

    def __post_init__(self) -> None:
        # Here, so that no text of a server gets into ledgers, records and logs.
        object.__setattr__(self, "reason", redacted(self.reason))
        object.__setattr__(self, "uri", redacted(self.uri))


def merge_holes(holes: Iterable[Hole]) -> tuple[Hole, ...]:
    """Return holes in order, those of one URI and reason as one; a piece counts once.

    Examples:
        >>> merged = merge_holes([Hole("gone", "b"), Hole("gone", "a"), Hole("gone", "b", 2)])
        >>> [(hole.uri, hole.count) for hole in merged]
        [('a', 1), ('b', 3)]
    """
    counts: dict[tuple[str, str], int] = {}
    pieces: dict[tuple[str, str], set[Pieces]] = {}
    for hole in holes:
        key = (hole.reason, hole.uri)
        counts[key] = counts.get(key, 0) + hole.count - _many(hole.pieces)
        pieces.setdefault(key, set()).update(hole.pieces)
    merged = {key: joined_pieces(pieces[key]) for key in sorted(counts)}
    return tuple(Hole(*key, counts[key] + _many(runs), runs) for key, runs in merged.items())


def _many(pieces: Iterable[Pieces]) -> int:
    return sum(stop - first for _, _, first, stop in pieces)


def joined_pieces(pieces: Iterable[Pieces]) -> tuple[Pieces, ...]:
    """Return runs of pieces in order, those that meet or overlap as one.

    Examples:
        >>> joined_pieces([(3, 1, 5, 7), (3, 1, 2, 3), (3, 1, 3, 6)])
        ((3, 1, 2, 7),)
    """
    joined: list[Pieces] = []
    for level, row, first, stop in sorted(pieces):
        if joined and joined[-1][:2] == (level, row) and first <= joined[-1][3]:
            joined[-1] = (level, row, joined[-1][2], max(joined[-1][3], stop))
        else:
            joined.append((level, row, first, stop))
    return tuple(joined)


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
