"""What blocks a part of a search that was not answered is missing from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import shapely
from odc.geo.crs import CRS
from shapely.geometry.base import BaseGeometry

from s2s_map.arrays import Hole
from s2s_map.config.times import parse_time
from s2s_map.imagery.lattice import Bounds
from s2s_map.imagery.sources.stac.search.asking import SearchHole
from s2s_map.regions.projections import LONLAT, is_finite, project

_RECORD = "holes"
# How far a scene may reach beyond a place that it covers: the diagonal of an MGRS tile.
_REACH_DEGREES = 1.45


def holes_over(holes: Sequence[SearchHole], bounds: Bounds, crs: CRS) -> list[Hole]:
    """Return the holes whose scenes may reach a rectangle.

    Args:
        holes: Parts that were not answered.
        bounds: (minx, miny, maxx, maxy) in metres of `crs`.
        crs: Projected CRS in metres.
    """
    if not holes:
        return []
    there = project(shapely.box(*bounds), crs, LONLAT)
    return [
        Hole(hole.reason, f"search {hole}")
        for hole in holes
        if not is_finite(there) or _reach(hole).intersects(shapely.make_valid(there))
    ]


def holes_record(holes: Sequence[SearchHole]) -> dict[str, Any]:
    """Return holes as JSON for the record of a search; empty for none."""
    if not holes:
        return {}
    return {
        _RECORD: [
            {"box": list(hole.box), "interval": hole.interval, "reason": hole.reason}
            for hole in holes
        ]
    }


def read_holes(search: Mapping[str, Any]) -> tuple[SearchHole, ...] | None:
    """Return the holes of a record of a search; None if no search wrote it."""
    holes = []
    try:
        for hole in search.get(_RECORD, ()):
            west, south, east, north = map(float, hole["box"])
            interval = str(hole["interval"])
            parse_time(interval)
            holes.append(SearchHole((west, south, east, north), interval, str(hole["reason"])))
    except (LookupError, TypeError, ValueError):
        return None
    return tuple(holes)


def _reach(hole: SearchHole) -> BaseGeometry:
    west, south, east, north = hole.box
    wide = _REACH_DEGREES / math.cos(math.radians(min(85.0, max(abs(south), abs(north)) + 1.45)))
    box = (west - wide, south - _REACH_DEGREES, east + wide, north + _REACH_DEGREES)
    # A block may lie on the other side of the antimeridian.
    return shapely.union_all(
        [shapely.box(box[0] + by, box[1], box[2] + by, box[3]) for by in (-360.0, 0.0, 360.0)]
    )
