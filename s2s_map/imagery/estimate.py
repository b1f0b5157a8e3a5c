"""How much a read takes, for the plan."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS

from s2s_map.catalog.scene import Scene
from s2s_map.imagery.lattice import Bounds
from s2s_map.regions.projections import is_finite, project

_BANDS = 3


def bytes_estimate(scenes: Sequence[Scene], bounds: Bounds, crs: CRS | str) -> int:
    """Return the uncompressed bytes of source pixels that bounds touch.

    Where scenes overlap each counts: they are read until every pixel is valid.

    Args:
        scenes: The scenes of the entry.
        bounds: (minx, miny, maxx, maxy) in metres of `crs`.
        crs: Projected CRS in metres.
    """
    wanted, target = shapely.box(*bounds), CRS(crs)
    total = 0.0
    for scene in scenes:
        there = project(wanted, target, scene.crs)
        area = scene.outline.area
        if is_finite(there):
            # On one side of the antimeridian: that on which the scene lies.
            there = shapely.transform(there, partial(_own, scene))
            area = scene.outline.intersection(shapely.make_valid(there)).area
        pixel_area = scene.res[0] * scene.res[1]
        total += area / pixel_area * _BANDS * np.dtype(scene.dtype).itemsize
    return round(total)


def _own(scene: Scene, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([scene.own_x(points[:, 0]), points[:, 1]])
