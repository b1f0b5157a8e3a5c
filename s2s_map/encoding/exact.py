"""Patches prepared exactly as for the published model: crop in source pixels, resize each alone.

Torchvision's ``CenterCrop`` and ``Resize`` (bicubic, antialiased) of an 8-bit PIL image. The usual
way, windows of imagery that was resampled once a block, is compared with it by
benchmarks/preprocessing.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def centre_crop(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the middle (bands, side, side) of an image; what it lacks is black.

    Args:
        pixels: Shape (bands, rows, columns).
        side: Pixels.
    """
    rows, cols = pixels.shape[1:]
    if rows < side or cols < side:
        down, across = max(0, side - rows), max(0, side - cols)
        pad = ((0, 0), (down // 2, (down + 1) // 2), (across // 2, (across + 1) // 2))
        pixels = np.pad(pixels, pad)
        rows, cols = pixels.shape[1:]
    top, left = round((rows - side) / 2.0), round((cols - side) / 2.0)
    return pixels[:, top : top + side, left : left + side]


def resize_patches(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize patches one by one, bicubic with antialiasing, rounded to 8 bit after each axis.

    Args:
        pixels: Red, green, blue, shape (B, 3, rows, columns).
        side: Side of the result, pixels.

    Returns:
        Shape (B, 3, side, side).
    """
    from PIL import Image

    resized = np.empty((len(pixels), 3, side, side), dtype=np.uint8)
    for i, patch in enumerate(np.moveaxis(pixels, 1, -1)):
        image = Image.fromarray(np.ascontiguousarray(patch))
        shrunk = image.resize((side, side), Image.Resampling.BICUBIC)
        resized[i] = np.moveaxis(np.asarray(shrunk), -1, 0)
    return resized
