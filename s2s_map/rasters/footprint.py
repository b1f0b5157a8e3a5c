"""The outline of a grid in longitude and latitude, as GeoJSON wants it at the antimeridian."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from shapely import affinity
from shapely.geometry import MultiPolygon, Polygon, box, mapping
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from s2s_map.tiling.grid import MapGrid

_POINTS_PER_SIDE = 8
_DIGITS = 6  # of a degree: 0.1 m

LonLatBounds = tuple[float, float, float, float]


def footprint(grid: MapGrid) -> tuple[dict[str, Any], LonLatBounds]:
    """Return the outline of a grid and its bounds in longitude and latitude, WGS 84.

    Edges are followed by points in between, since straight lines in metres are curves here.

    Returns:
        A GeoJSON geometry, in two parts where it crosses the antimeridian, and (west, south,
        east, north) in degrees, west > east in that case (RFC 7946). Around a pole the bounds
        are those of a polar cap.
    """
    lon, lat = _ring(grid)
    if abs(lon[-1] - lon[0]) > 180.0:
        return _cap(lat)
    # Unwrapping leaves 1e-14 degrees between the ring's ends: Polygon closes it by itself.
    ring = Polygon(np.column_stack([lon[:-1], lat[:-1]]))
    west, south, east, north = ring.bounds
    shift = 360.0 * np.floor((west + 180.0) / 360.0)
    ring, west, east = affinity.translate(ring, -shift), west - shift, east - shift
    if east <= 180.0:
        return _geojson(ring), _rounded(west, south, east, north)
    parts = [
        ring.intersection(box(-180.0, -90.0, 180.0, 90.0)),
        affinity.translate(ring.intersection(box(180.0, -90.0, 540.0, 90.0)), -360.0),
    ]
    polygons = [orient(part) for part in parts if isinstance(part, Polygon)]
    return _geojson(MultiPolygon(polygons)), _rounded(west, south, east - 360.0, north)


def _ring(grid: MapGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    minx, miny, maxx, maxy = grid.bounds
    corners = [(minx, maxy), (minx, miny), (maxx, miny), (maxx, maxy), (minx, maxy)]
    sides = [np.linspace(a, b, _POINTS_PER_SIDE, endpoint=False) for a, b in pairwise(corners)]
    points = np.concatenate([*sides, np.array(corners[:1])])
    to_lonlat = Transformer.from_crs(grid.crs.proj, "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(points[:, 0], points[:, 1])
    return np.unwrap(np.asarray(lon), period=360.0), np.asarray(lat)


def _cap(lat: NDArray[np.float64]) -> tuple[dict[str, Any], LonLatBounds]:
    south, north = (-90.0, lat.max()) if lat.mean() < 0 else (lat.min(), 90.0)
    return _geojson(box(-180.0, south, 180.0, north)), _rounded(-180.0, south, 180.0, north)


def _geojson(geometry: BaseGeometry) -> dict[str, Any]:
    shape = mapping(geometry)
    return {"type": shape["type"], "coordinates": _round_all(shape["coordinates"])}


def _round_all(value: Any) -> Any:
    if isinstance(value, (float, int)):
        return round(float(value), _DIGITS)
    return [_round_all(part) for part in value]


def _rounded(west: float, south: float, east: float, north: float) -> LonLatBounds:
    return (
        round(float(west), _DIGITS),
        round(float(south), _DIGITS),
        round(float(east), _DIGITS),
        round(float(north), _DIGITS),
    )
