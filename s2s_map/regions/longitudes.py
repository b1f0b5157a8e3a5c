"""Images in degrees, whichever longitudes they count: -180 to 180, 0 to 360, or on beyond 180."""

from __future__ import annotations

import math

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS
from shapely import affinity
from shapely.geometry.base import BaseGeometry


def full_turn(crs: CRS) -> float | None:
    """Return once around the Earth in units of a geographic CRS, 360 of degrees; None of others."""
    if not crs.geographic:
        return None
    return round(2.0 * math.pi / crs.proj.axis_info[0].unit_conversion_factor, 9)


def turned(lon: NDArray[np.float64], middle: float, turn: float) -> NDArray[np.float64]:
    """Return longitudes by whole turns nearest to a middle; those within half a turn unchanged.

    Args:
        lon: Longitudes.
        middle: Longitude around which the result lies.
        turn: Once around the Earth, in the same units.
    """
    return np.asarray(lon - turn * np.rint((lon - middle) / turn))


def by_whole_turns(transform: Affine, shape: tuple[int, int], crs: CRS) -> Affine:
    """Return the transform of an image with its middle from -180 (without) to 180 degrees.

    Only whole turns are taken off: an image from 179 to 181 stays as it is, one from 305 to 306
    becomes one from -55 to -54. Transforms of projected CRSs are returned unchanged.

    Args:
        transform: From (column, row) of pixel corners to `crs`.
        shape: Rows and columns.
        crs: CRS of the image.
    """
    turn = full_turn(crs)
    if turn is None:
        return transform
    t = transform
    middle = t.c + t.a * shape[1] / 2.0 + t.b * shape[0] / 2.0
    turns = math.ceil((middle - turn / 2.0) / turn)
    return Affine(t.a, t.b, t.c - turns * turn, t.d, t.e, t.f) if turns else t


def parted(outline: BaseGeometry, crs: CRS) -> BaseGeometry:
    """Return an outline in a geographic CRS from -180 to 180 degrees, parted where it crosses 180.

    Args:
        outline: Polygon; its longitudes may go on beyond 180.
        crs: Its CRS; outlines in projected ones are returned unchanged.
    """
    turn = full_turn(crs)
    if turn is None:
        return outline
    half = turn / 2.0
    west, south, east, north = outline.bounds
    if -half <= west and east <= half:
        return outline
    earth = shapely.box(-half, south, half, north)
    first, last = math.ceil((west - half) / turn), math.floor((east + half) / turn)
    sides = [
        affinity.translate(outline, -turn * k).intersection(earth) for k in range(first, last + 1)
    ]
    return shapely.unary_union([side for side in sides if side.area > 0.0])
