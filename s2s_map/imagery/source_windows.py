"""Which pixels of a scene lie under a part of the lattice of another CRS."""

from __future__ import annotations

import math

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS

from s2s_map.catalog.scene import Scene
from s2s_map.imagery.lattice import Lattice, PixelWindow

SourceWindow = tuple[slice, slice]

# Points along each side of a part that are looked up in the scene.
_POINTS = 33
# Pixels that a cubic kernel reaches, at the coarser pixel size of both, and some to spare.
_REACH_PX = 4
# Columns so many times as far apart as points should be, and by half the scene at least, with none
# between them, are on both sides of a seam of its CRS: the antimeridian.
_JUMP = 8.0


def windows_under(
    scene: Scene, lattice: Lattice, part: PixelWindow, crs: CRS
) -> list[SourceWindow]:
    """Return rows and columns of a scene under a part of the lattice, as far as a kernel reaches.

    There are two windows where the antimeridian crosses the part, and none where the scene does
    not lie, or where the part has no place on Earth.

    Args:
        scene: The scene.
        lattice: The lattice.
        part: The part.
        crs: CRS of the lattice.
    """
    rows, cols = _places(scene, lattice, part, crs)
    known = np.isfinite(rows) & np.isfinite(cols)
    if not known.any():
        return []
    step = part.width / (_POINTS - 1) * max(1.0, float(lattice.pixel_m) / scene.gsd_m)
    found = []
    for rows_here, cols_here in _sides(
        rows[known], cols[known], max(_JUMP * step, scene.shape[1] / 2.0)
    ):
        ratio_y, ratio_x = np.ptp(rows_here) / part.height, np.ptp(cols_here) / part.width
        there = (
            _span(rows_here, max(1.0, ratio_y), scene.shape[0]),
            _span(cols_here, max(1.0, ratio_x), scene.shape[1]),
        )
        if there[0].start < there[0].stop and there[1].start < there[1].stop:
            found.append(there)
    return found


def union(windows: list[SourceWindow]) -> SourceWindow:
    """Return the least window that holds some."""
    (top, bottom), (left, right) = (
        (min(w[axis].start for w in windows), max(w[axis].stop for w in windows)) for axis in (0, 1)
    )
    return slice(top, bottom), slice(left, right)


def window_transform(scene: Scene, window: SourceWindow) -> Affine:
    """Return the transform of a window of a scene."""
    return scene.transform * Affine.translation(window[1].start, window[0].start)


def scale_at(scene: Scene, lattice: Lattice, part: PixelWindow, crs: CRS) -> tuple[float, float]:
    """Return pixels of the scene to one of the lattice in the middle of a part, down and across.

    1 where the middle has no place on Earth.
    """
    row, col = part.top + part.height / 2.0, part.left + part.width / 2.0
    rows, cols = _source_places(
        scene,
        lattice,
        np.array([row - 1, row + 1, row, row]),
        np.array([col, col, col - 1, col + 1]),
        crs,
    )
    # In a rotated scene a step along the lattice's rows moves along both of its axes.
    down = math.hypot(rows[1] - rows[0], rows[3] - rows[2]) / 2.0
    across = math.hypot(cols[1] - cols[0], cols[3] - cols[2]) / 2.0
    if not (math.isfinite(down) and math.isfinite(across)):
        return 1.0, 1.0
    return down, across


def _places(
    scene: Scene, lattice: Lattice, part: PixelWindow, crs: CRS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    down = part.top + np.linspace(0.0, part.height, _POINTS)
    across = part.left + np.linspace(0.0, part.width, _POINTS)
    grid = np.meshgrid(down, across, indexing="ij")
    return _source_places(scene, lattice, grid[0].ravel(), grid[1].ravel(), crs)


def _source_places(
    scene: Scene,
    lattice: Lattice,
    rows: NDArray[np.float64],
    cols: NDArray[np.float64],
    crs: CRS,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pixel = float(lattice.pixel_m)
    x, y = float(lattice.west) + cols * pixel, float(lattice.north) - rows * pixel
    there = crs.transformer_to_crs(scene.crs, always_xy=True)(x, y)
    known = np.isfinite(there[0]) & np.isfinite(there[1])
    inverse = ~scene.transform
    x, y = (np.where(known, axis, np.nan) for axis in there)
    x = scene.own_x(x)
    return inverse.d * x + inverse.e * y + inverse.f, inverse.a * x + inverse.b * y + inverse.c


def _sides(
    rows: NDArray[np.float64], cols: NDArray[np.float64], jump: float
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the places on each side of a seam: of columns far apart with none between them."""
    order = np.sort(cols)
    gaps = np.diff(order)
    if not gaps.size or gaps.max() <= jump:
        return [(rows, cols)]
    split = order[int(gaps.argmax())]
    west = cols <= split
    return [(rows[west], cols[west]), (rows[~west], cols[~west])]


def _span(places: NDArray[np.float64], ratio: float, size: int) -> slice:
    # Between the points, what lies under a side of the part may bulge.
    low, high = float(places.min()), float(places.max())
    reach = math.ceil(_REACH_PX * ratio + (high - low) / (2 * _POINTS)) + 1
    low, high = max(math.floor(low) - reach, 0), min(math.ceil(high) + reach, size)
    return slice(int(low), int(max(low, high)))
