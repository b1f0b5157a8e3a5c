"""Rasters averaged down to what a picture can show, and contrast for the eye."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.arrays import ImageBlock

_CONTRAST_PERCENTILES = (1.0, 98.0)


def shrink_mean(values: NDArray[np.floating[Any]], most: int) -> tuple[NDArray[np.float32], int]:
    """Return the means of squares of cells, at most `most` squares along either side.

    Args:
        values: Shape (y, x); NaN for no data, left out of the means.
        most: Rows and columns at most.

    Returns:
        The means, NaN where no cell has data, and the side of a square in cells.
    """
    factor = max(1, -(-max(values.shape) // most))
    if factor == 1:
        return np.asarray(values, dtype=np.float32), 1
    ny, nx = (-(-n // factor) * factor for n in values.shape)
    result = np.empty((ny // factor, nx // factor), dtype=np.float32)
    for row in range(len(result)):
        strip = values[row * factor : (row + 1) * factor]
        padded = np.full((factor, nx), np.nan, dtype=np.float32)
        padded[: len(strip), : values.shape[1]] = strip
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Mean of empty slice")
            result[row] = np.nanmean(padded.reshape(factor, -1, factor), axis=(0, 2))
    return result, factor


def shrink_image(image: ImageBlock, most: int) -> tuple[NDArray[np.uint8], int]:
    """Return imagery for display: averaged, its contrast stretched, transparent without data.

    One stretch for all three bands, between percentiles of all valid pixels, keeps the hues.

    Args:
        image: Imagery, shape (3, y, x).
        most: Rows and columns at most.

    Returns:
        Shape (y, x, 4), and the side of a square in cells.
    """
    bands = []
    factor = 1
    for band in image.pixels:
        values = np.where(image.valid, band, np.nan).astype(np.float32)
        small, factor = shrink_mean(values, most)
        bands.append(small)
    stacked = np.stack(bands, axis=-1)
    seen = np.isfinite(stacked).all(axis=-1)
    low, high = np.percentile(stacked[seen], _CONTRAST_PERCENTILES) if seen.any() else (0.0, 255.0)
    stretched = np.clip((stacked - low) * (255.0 / max(high - low, 1.0)), 0.0, 255.0)
    rgba = np.zeros((*seen.shape, 4), dtype=np.uint8)
    rgba[seen, :3] = np.rint(stretched[seen])
    rgba[seen, 3] = 255
    return rgba, factor
