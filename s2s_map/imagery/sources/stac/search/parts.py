"""Parting a search by area and time: pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import shapely
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from s2s_map.config.times import in_utc, parse_time

CELL_DEGREES = 2.0
"""Side of a part, degrees of latitude; of longitude 2, 4 or 8, about as wide in metres."""

PIECE_DAYS = 92
"""Longest time of a part, days."""

PAGE = 100
"""Items a page to begin with."""

LEAST_DEGREES, LEAST_TIME, LEAST_PAGE = 0.5, timedelta(days=1), 10

# What the outline is widened by, and simplified to within that. Blocks at a border read beyond it.
_BEYOND, _SIMPLER = 0.07, 0.02

LonLatBounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Part:
    """A part of a search.

    Attributes:
        box: (west, south, east, north) in degrees, west <= east.
        start: First instant, UTC.
        end: Last instant, UTC.
        page: Items a page.
    """

    box: LonLatBounds
    start: datetime
    end: datetime
    page: int = PAGE

    @property
    def interval(self) -> str:
        """start/end as RFC 3339."""
        return f"{_written(self.start)}/{_written(self.end)}"

    def __str__(self) -> str:
        west, south, east, north = self.box
        return f"[{west:.3f}, {south:.3f}, {east:.3f}, {north:.3f}] {self.interval}"

    def halved(self, kind: str) -> tuple[Part, ...]:
        """Return what to ask for instead of a part that failed; nothing at the floor.

        Args:
            kind: `slow`: less area, then less time, then smaller pages; otherwise smaller
                pages first, as an answer may be too large, then less time, as one scene in it may
                be broken and covers more than the smallest area.
        """
        broken, slow = (
            (self._page, self._time, self._area),
            (self._area, self._time, self._page),
        )
        for halve in slow if kind == "slow" else broken:
            if parts := halve():
                return parts
        return ()

    def _page(self) -> tuple[Part, ...]:
        if self.page <= LEAST_PAGE:
            return ()
        return (replace(self, page=max(LEAST_PAGE, self.page // 2)),)

    def _area(self) -> tuple[Part, ...]:
        west, south, east, north = self.box
        wide = (east - west) * math.cos(math.radians((south + north) / 2.0))
        if max(wide, north - south) <= LEAST_DEGREES:
            return ()
        if wide >= north - south:
            middle = (west + east) / 2.0
            boxes = ((west, south, middle, north), (middle, south, east, north))
        else:
            middle = (south + north) / 2.0
            boxes = ((west, south, east, middle), (west, middle, east, north))
        return tuple(replace(self, box=box) for box in boxes)

    def _time(self) -> tuple[Part, ...]:
        if self.end - self.start <= LEAST_TIME:
            return ()
        middle = self.start + (self.end - self.start) / 2
        # Both have the instant between them: nothing falls into a gap.
        return replace(self, end=middle), replace(self, start=middle)


def region_of(area: LonLatBounds, outline: BaseGeometry | None) -> BaseGeometry:
    """Return where to search, longitude and latitude.

    Args:
        area: (west, south, east, north) in degrees; west > east across the antimeridian.
        outline: The region's own outline in degrees, parted at the antimeridian; it is widened
            by 5 km and more, as blocks at a border read beyond it. None for all of the area.
    """
    west, south, east, north = area
    if outline is None:
        if west <= east:
            return shapely.box(*area)
        sides = shapely.box(west, south, 180.0, north), shapely.box(-180.0, south, east, north)
        return shapely.union_all(sides)
    steepest = min(85.0, max(abs(south), abs(north)))
    beyond = _BEYOND / math.cos(math.radians(steepest))
    wider = shapely.make_valid(outline).simplify(_SIMPLER).buffer(beyond, quad_segs=2)
    earth = shapely.box(-180.0, -90.0, 180.0, 90.0)
    # What reaches over the antimeridian is on its other side.
    around = [translate(wider, xoff=by) for by in (-360.0, 360.0)]
    return shapely.union_all([wider, *around]).intersection(earth)


def parts_of(region: BaseGeometry, interval: str) -> tuple[Part, ...]:
    """Return the parts of a search: cells that the region touches, by pieces of time.

    A region smaller than a cell is one part. Where parts meet they share their edges.

    Args:
        region: Longitude and latitude in degrees.
        interval: start/end, as an entry resolves it.
    """
    start, end = map(in_utc, parse_time(interval))
    count = max(1, math.ceil((end - start) / timedelta(days=PIECE_DAYS)))
    step = (end - start) / count
    times = [start + step * i for i in range(count)] + [end]
    return tuple(Part(box, times[i], times[i + 1]) for box in _cells(region) for i in range(count))


def _cells(region: BaseGeometry) -> Iterator[LonLatBounds]:
    west, south, east, north = region.bounds
    if max(east - west, north - south) <= CELL_DEGREES:
        yield west, south, east, north
        return
    shapely.prepare(region)
    for row in range(math.floor(south / CELL_DEGREES), math.ceil(north / CELL_DEGREES)):
        low, high = row * CELL_DEGREES, (row + 1) * CELL_DEGREES
        nearest = min(abs(low), abs(high))
        wider = 2 ** min(2, math.floor(-math.log2(math.cos(math.radians(min(nearest, 80.0))))))
        width = CELL_DEGREES * wider
        for col in range(math.floor(west / width), math.ceil(east / width)):
            cell = shapely.box(col * width, low, (col + 1) * width, high)
            if not region.intersects(cell):
                continue
            inside = cell.intersection(shapely.box(*region.bounds)).bounds
            yield (
                max(inside[0], -180.0),
                max(inside[1], -90.0),
                min(inside[2], 180.0),
                min(inside[3], 90.0),
            )


def _written(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
