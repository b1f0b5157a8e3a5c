"""A labelled set in the embedding space, whatever it is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

type LabelledName = Literal["eurosat", "ucmerced", "resisc45", "birdclef"]
type Start = Callable[[str, int], Callable[[int], None]]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class LabelledVectors:
    """A labelled set in the embedding space.

    Attributes:
        title: For people.
        classes: Names of the classes, in words.
        vectors: By split, unit vectors (n, dim).
        labels: By split, indices of classes (n,).
        skipped: What cannot be used, with reasons.
        notes: What a reader should know.
    """

    title: str
    classes: tuple[str, ...]
    vectors: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, NDArray[np.int64]]
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


def chosen(count: int, limit: int | None, seed: int) -> NDArray[np.intp]:
    """Indices of at most `limit` of some samples, drawn at random, ascending."""
    if limit is None or limit >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))


def reason_of(error: Exception) -> str:
    """Say what went wrong in one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
