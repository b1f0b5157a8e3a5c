"""Parting a region that no one map shows well into pieces of which each is a region of its own.

A map shows a region well where distances are off by at most 3 % and at least 15 % of its cells
are land. Islands are parted by the gaps between them; what is one polygon, or too wide, is cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from odc.geo.crs import CRS
from shapely.geometry.base import BaseGeometry

from s2s_map.errors import RegionError
from s2s_map.regions.extent import Extent, sample_points
from s2s_map.regions.parts import sphere_area, split_by_gaps
from s2s_map.regions.place_region import box_region
from s2s_map.regions.projections import LONLAT, is_finite, project
from s2s_map.regions.region import Outline
from s2s_map.tiling.crs import fixed_crs
from s2s_map.tiling.projections import FAR, distance_error, projection_of

LAND = 0.15
"""Share of a grid's cells that should be in the region."""

_MOST_CUTS = 12
# Edges of boxes lie on hundredths of a degree.
_STEP = 0.01
# Share of a side from which a gap between polygons is worth a cut.
_GAP = 0.05
# Places along a side at which cutting is tried.
_PLACES = 3
# A grid of less than this, 16 x 16 cells of 640 m, need not be parted: an atoll and its lagoon.
_FEW_KM2 = 100.0
# Gaps by which islands are parted, the widest first, kilometres.
_GAPS_KM = (200.0, 100.0, 50.0, 25.0, 12.0, 6.0, 3.0, 1.5)


@dataclass(frozen=True)
class Piece:
    """A part of a region, ready to be a region.

    Attributes:
        region: What to write as `region:`; a box is (west, south, east, north) in degrees, west >
            east across the antimeridian.
        crs: CRS it would be mapped in.
        distance_error: By what share a distance on its map may be off, at worst.
        land_share: Share of its grid's cells that are in the region.
        area_km2: Square kilometres of the region in it.
    """

    region: str | tuple[float, float, float, float]
    crs: str
    distance_error: float
    land_share: float
    area_km2: float

    @property
    def is_shown_well(self) -> bool:
        """Whether a map shows it well; a grid of some hundred cells may be of any share of land."""
        few = self.area_km2 < self.land_share * _FEW_KM2
        return self.distance_error <= FAR and (self.land_share >= LAND or few)


def split_region(outline: Outline) -> list[Piece]:
    """Return pieces that hold a region, in each of which distances are true and land is enough.

    A region that one map shows well is one piece. A piece of a shipped place is what of that place
    lies in a box; of any other region it is a box, which also maps what lies beyond the border.

    Args:
        outline: The region.
    """
    geometry = _unwrapped(outline)
    pieces = list(_pieces(geometry, outline, _MOST_CUTS))
    return pieces if len(pieces) > 1 else [_as_given(pieces[0], outline)]


def shown(outline: Outline) -> Piece:
    """Return a region as one map, in the CRS that it gets by itself."""
    return _as_given(_piece(_unwrapped(outline), outline), outline)


def land_share(polygon: BaseGeometry, bounds: tuple[float, float, float, float]) -> float:
    """Return the share of a grid over bounds that a polygon fills; metres of one CRS."""
    west, south, east, north = bounds
    return float(polygon.area / ((east - west) * (north - south)))


def _unwrapped(outline: Outline) -> BaseGeometry:
    """Return an outline with longitudes that rise from its west, beyond 180 if need be."""
    west = outline.extent.west
    parts = []
    for part in shapely.get_parts(outline.lonlat):
        shift = 360.0 if part.bounds[0] < west - 1e-9 else 0.0
        parts.append(shapely.affinity.translate(part, shift) if shift else part)
    return shapely.make_valid(shapely.union_all(parts))


def _as_given(piece: Piece, outline: Outline) -> Piece:
    region = outline.region or piece.region
    return Piece(region, piece.crs, piece.distance_error, piece.land_share, piece.area_km2)


def _pieces(geometry: BaseGeometry, outline: Outline, cuts: int) -> Iterator[Piece]:
    piece = _piece(geometry, outline)
    if piece.is_shown_well or not cuts:
        yield piece
        return
    islands = _islands(geometry) if piece.distance_error <= FAR else []
    for part in islands or _best_cut(geometry, outline):
        yield from _pieces(part, outline, cuts - 1)


def _islands(geometry: BaseGeometry) -> list[BaseGeometry]:
    """Return the groups of islands that the widest gaps part; none for one polygon."""
    if len(shapely.get_parts(geometry)) == 1:
        return []
    for gap in _GAPS_KM:
        groups = split_by_gaps(geometry, gap)
        if len(groups) > 1:
            return [group.geometry for group in groups]
    return list(shapely.get_parts(geometry))


def _best_cut(geometry: BaseGeometry, outline: Outline) -> list[BaseGeometry]:
    """Return the two sides of the cut that leaves least to be cut again."""

    def left(sides: list[BaseGeometry]) -> tuple[int, float, float]:
        pieces = [_piece(side, outline) for side in sides]
        return (
            sum(not piece.is_shown_well for piece in pieces),
            round(max(piece.distance_error for piece in pieces), 6),
            -round(min(piece.land_share for piece in pieces), 6),
        )

    sides = [
        [part for part in (_polygons(geometry.intersection(half)) for half in pair) if part.area]
        for pair in _cuts(geometry)
    ]
    return min((pair for pair in sides if len(pair) > 1), key=left, default=[geometry])


def _cuts(geometry: BaseGeometry) -> Iterator[tuple[BaseGeometry, BaseGeometry]]:
    """Yield the two sides of each cut worth trying."""
    bounds = west, south, east, north = _tight(geometry)
    edges = np.array([part.bounds for part in shapely.get_parts(geometry)])
    for axis in (0, 1):
        places = list(np.linspace(bounds[axis], bounds[axis + 2], _PLACES + 2)[1:-1])
        order = np.argsort(edges[:, axis])
        lows, reach = edges[order, axis], np.maximum.accumulate(edges[order, axis + 2])
        gaps = lows[1:] - reach[:-1]
        if gaps.size and gaps.max() > _GAP * (bounds[axis + 2] - bounds[axis]):
            widest = int(gaps.argmax())
            places.append((lows[widest + 1] + reach[widest]) / 2.0)
        for place in places:
            at = round(place / _STEP) * _STEP
            if axis == 0:
                yield shapely.box(west, south, at, north), shapely.box(at, south, east, north)
            else:
                yield shapely.box(west, south, east, at), shapely.box(west, at, east, north)


def _polygons(geometry: BaseGeometry) -> BaseGeometry:
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.MultiPolygon([part for part in parts if part.geom_type == "Polygon"])


def _tight(geometry: BaseGeometry) -> tuple[float, float, float, float]:
    west, south, east, north = geometry.bounds
    return (
        math.floor(round(west / _STEP, 6)) * _STEP,
        max(-90.0, math.floor(round(south / _STEP, 6)) * _STEP),
        math.ceil(round(east / _STEP, 6)) * _STEP,
        min(90.0, math.ceil(round(north / _STEP, 6)) * _STEP),
    )


def _piece(geometry: BaseGeometry, outline: Outline) -> Piece:
    west, south, east, north = _tight(geometry)
    box = (_longitude(west, -180.0), round(south, 2), _longitude(east, 180.0), round(north, 2))
    if east - west >= 360.0:
        box = (-180.0, box[1], 180.0, box[3])
    # A box of no place is mapped whole.
    mapped = geometry if outline.place else shapely.box(west, south, east, north)
    region = box_region(outline.place, box) if outline.place else box
    area = float(np.sum(sphere_area(geometry)))
    points = sample_points(mapped)
    points[:, 0] = (points[:, 0] + 180.0) % 360.0 - 180.0
    try:
        crs = fixed_crs(points, Extent(*box))
    except RegionError:
        return Piece(region, "none", math.inf, 0.0, area)
    on_map = project(mapped, LONLAT, crs)
    share = land_share(on_map, on_map.bounds) if is_finite(on_map) else 0.0
    return Piece(region, crs_name(crs), distance_error(crs, points), share, area)


def _longitude(lon: float, edge: float) -> float:
    """Return a longitude within -180 to 180, the antimeridian as the side that is asked for."""
    wrapped = round((lon + 180.0) % 360.0 - 180.0, 2)
    return edge if abs(wrapped) == 180.0 else wrapped


def crs_name(crs: CRS) -> str:
    """Return the shortest name of a CRS that `grid: {crs: ...}` takes."""
    code = crs.to_epsg()
    if code:
        return f"EPSG:{code}"
    named = projection_of(crs)
    return str(crs) if named is None else named.name
