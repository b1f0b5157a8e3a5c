"""Values as pictures: one ramp, whose low end is transparent, so that the ground is seen."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from s2s_map.rasters.colours import shades

STEPS = 255
_LEAST_ABOVE = 0.7


@lru_cache(maxsize=2)
def ramp(*, above: bool = False) -> NDArray[np.uint8]:
    """Return red, green, blue and opacity of the steps, (255, 4).

    Args:
        above: For a map that shows only what is above a threshold: nothing of it is faint.
    """
    found = shades(STEPS)
    if above:
        found[:, 3] = np.maximum(found[:, 3], _LEAST_ABOVE)
    found[:, 3] *= 255
    return np.rint(found).astype(np.uint8)


def steps(
    values: NDArray[np.floating], colour_range: tuple[float, float], above: float | None = None
) -> NDArray[np.uint8]:
    """Return which step of the ramp each value has, from 1; 0 for no data and what is not above.

    Args:
        values: Any shape, NaN for no data.
        colour_range: Where the ramp begins and ends; what lies beyond has the end's colour.
        above: Show only values of this and more.
    """
    low, high = colour_range
    shown = np.isfinite(values) if above is None else values >= above
    share = np.clip((np.where(shown, values, low) - low) / (high - low), 0.0, 1.0)
    return np.where(shown, 1 + np.rint(share * (STEPS - 1)), 0).astype(np.uint8)


def png(indices: NDArray[np.uint8], *, above: bool = False) -> bytes:
    """Return steps (y, x) as a PNG with a palette, whose colour 0 is transparent."""
    from PIL import Image

    colours = ramp(above=above)
    height, width = indices.shape
    picture = Image.frombytes("P", (width, height), np.ascontiguousarray(indices).tobytes())
    picture.putpalette(b"\0\0\0" + colours[:, :3].tobytes())
    out = io.BytesIO()
    alpha = b"\0" + colours[:, 3].tobytes()
    picture.save(out, "PNG", transparency=alpha, compress_level=1)
    return out.getvalue()


@lru_cache(maxsize=1)
def nothing() -> bytes:
    """Return a tile that shows nothing."""
    return png(np.zeros((1, 1), dtype=np.uint8))
