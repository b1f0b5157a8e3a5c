"""One picture out of many of the same place: pure functions of arrays."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

# Classes of SCL that are sure: vegetation, bare, water, snow. The other clear ones come second.
_SURE = (4, 5, 6, 11)
_VOID = np.uint16(65_535)


def composite(
    numbers: NDArray[np.uint16],
    classes: NDArray[np.uint8],
    clear: tuple[int, ...],
    method: Literal["median", "best"],
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Return one value per pixel and band, and where any scene saw the ground.

    Args:
        numbers: Corrected digital numbers, 0 for no data, shape (scenes, bands, rows, columns).
        classes: Scene classification, shape (scenes, rows, columns).
        clear: Classes that count as seen.
        method: median: of the scenes that see a pixel, band by band; the mean of the middle two.
            best: of the scene whose class is surest, the first among equals.

    Returns:
        Numbers of shape (bands, rows, columns), 0 where nothing is seen, and the mask.
    """
    seen = np.isin(classes, clear) & (numbers != 0).all(axis=1)
    observed = seen.any(axis=0)
    chosen = _median(numbers, seen) if method == "median" else _best(numbers, classes, seen)
    pixels: NDArray[np.uint16] = np.where(observed, chosen, np.uint16(0)).astype(np.uint16)
    return pixels, observed


def _median(numbers: NDArray[np.uint16], seen: NDArray[np.bool_]) -> NDArray[np.uint16]:
    # Unseen values sort to the end: the middle of the others is found by counting.
    ordered: NDArray[np.uint16] = np.sort(np.where(seen[:, None], numbers, _VOID), axis=0)
    count = np.maximum(seen.sum(axis=0), 1)
    low, high = ((count - 1) // 2)[None, None], (count // 2)[None, None]
    shape = (1, numbers.shape[1], *count.shape)
    first = np.take_along_axis(ordered, np.broadcast_to(low, shape), axis=0)[0]
    second = np.take_along_axis(ordered, np.broadcast_to(high, shape), axis=0)[0]
    middle: NDArray[np.uint16] = ((first.astype(np.uint32) + second + 1) // 2).astype(np.uint16)
    return middle


def _best(
    numbers: NDArray[np.uint16], classes: NDArray[np.uint8], seen: NDArray[np.bool_]
) -> NDArray[np.uint16]:
    rank = np.where(np.isin(classes, _SURE), 0, 1)
    rank[~seen] = 2
    winner = rank.argmin(axis=0)[None, None]
    shape = (1, numbers.shape[1], *winner.shape[2:])
    chosen: NDArray[np.uint16] = np.take_along_axis(
        numbers, np.broadcast_to(winner, shape), axis=0
    )[0]
    return chosen
