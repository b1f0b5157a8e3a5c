"""The colours of the maps, the same in QGIS, in the preview and for web renderers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COLORMAP = "magma"
"""Name of the ramp in Matplotlib and in most renderers; perceptually uniform, dark to bright."""

MAGMA: tuple[str, ...] = (
    "#000004", "#120d31", "#331067", "#59157e", "#7e2482", "#a3307e", "#c83e73", "#e95462",
    "#fa7d5e", "#fea973", "#fed395", "#fcfdbf",
)  # fmt: skip
"""Stops of the ramp at equal distances, 8-bit sRGB."""


def rgb(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of a colour such as ``#fea973``."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


FULLEST = 0.94
"""Opacity of the upper end of the ramp over imagery."""
OPAQUE_AT = 0.6
"""Where along the ramp that opacity is reached."""


def opacity(share: float) -> float:
    """Return how opaque a colour is, 0 to `FULLEST`: where values are low, the ground is seen.

    Rises smoothly (3 t^2 - 2 t^3) from the lower end of the ramp to `OPAQUE_AT`.

    Args:
        share: Where along the ramp, 0 to 1.
    """
    rise = min(max(share / OPAQUE_AT, 0.0), 1.0)
    return FULLEST * rise * rise * (3 - 2 * rise)


def shades(count: int) -> NDArray[np.float64]:
    """Return the ramp at equal steps with its opacity.

    Args:
        count: How many steps, from the lower end to the upper.

    Returns:
        Shape (count, 4): red, green and blue of 0 to 255, and opacity of 0 to `FULLEST`.
    """
    at = np.linspace(0.0, 1.0, count)
    stops = np.array([rgb(colour) for colour in MAGMA], dtype=np.float64)
    where = np.linspace(0.0, 1.0, len(stops))
    colours = [np.interp(at, where, stops[:, band]) for band in range(3)]
    return np.stack([*colours, np.array([opacity(float(share)) for share in at])], axis=1)
