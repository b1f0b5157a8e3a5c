"""The parts of a place that lie far from each other: a country and its islands overseas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

EARTH_KM = 6371.0072
"""Radius of the sphere with the surface of WGS 84."""

LINKED_KM = 400.0
"""Polygons with gaps below this are one part: Svalbard, 406 km from Norway by way of Bear Island,
is another one."""

_KIN_KM = 1000.0
"""So far may another part be that is no appendage: the two halves of Malaysia are 590 km apart."""

_KIN_SHARE = 1.0 / 3.0
"""From which share of the main part's area on it is none."""

# Along the edges, degrees at most, and of the gap: gaps are known to about this, 28 km at most.
_STEP = 0.25
_OF_GAP = 16.0
_KM_A_DEGREE = 111.2
_PAIRS = 4_000_000


@dataclass(frozen=True)
class Part:
    """Polygons linked by gaps below some distance.

    Attributes:
        geometry: Polygon or multipolygon, degrees; parted at the antimeridian.
        area_km2: Square kilometres on the ground.
    """

    geometry: BaseGeometry
    area_km2: float

    @cached_property
    def point(self) -> tuple[float, float]:
        """Longitude and latitude of a point inside its largest polygon, to a tenth of a degree."""
        polygons = shapely.get_parts(self.geometry)
        inner = shapely.point_on_surface(polygons[int(np.argmax(sphere_area(polygons)))])
        return round(float(inner.x), 1), round(float(inner.y), 1)


def split_by_gaps(geometry: BaseGeometry, linked_km: float = LINKED_KM) -> list[Part]:
    """Return the parts of an outline, the largest first.

    Args:
        geometry: Polygon or multipolygon in degrees.
        linked_km: Polygons whose gap is less belong together; gaps are known to some 28 km.
    """
    polygons = shapely.get_parts(geometry)
    area = sphere_area(polygons)
    if len(polygons) == 1:
        return [Part(geometry, float(area[0]))]
    step = min(_STEP, linked_km / _OF_GAP / _KM_A_DEGREE)
    vectors, owner = _edges(polygons, step)
    label = _linked(vectors, owner, len(polygons), linked_km)
    parts = [
        Part(_joined(polygons[label == one]), float(area[label == one].sum()))
        for one in range(label.max() + 1)
    ]
    return sorted(parts, key=lambda part: (-part.area_km2, part.point))


def main_and_others(geometry: BaseGeometry) -> list[Part]:
    """Return the parts of a place, its main part first, the others by size.

    The main part is the largest of those linked by gaps below 400 km, together with any of a third
    of its size that lies within 1,000 km.
    """
    main, *others = split_by_gaps(geometry)
    kin = [
        other
        for other in others
        if other.area_km2 >= _KIN_SHARE * main.area_km2
        and len(split_by_gaps(_joined([main.geometry, other.geometry]), _KIN_KM)) == 1
    ]
    joined = Part(
        _joined([main.geometry, *(one.geometry for one in kin)]),
        main.area_km2 + sum(one.area_km2 for one in kin),
    )
    return [joined, *(other for other in others if other not in kin)]


def sphere_area(geometry: NDArray[np.object_] | BaseGeometry) -> NDArray[np.float64]:
    """Return square kilometres of geometries in degrees, true to 0.5 %.

    On the sphere of WGS 84's surface, by Lambert's cylindrical equal-area projection.
    """

    def flat(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = np.radians(points).T
        return EARTH_KM * np.column_stack([x, np.sin(y)])

    return np.asarray(shapely.area(shapely.transform(geometry, flat)))


def _joined(geometries: NDArray[np.object_] | list[BaseGeometry]) -> BaseGeometry:
    polygons = list(shapely.get_parts(np.asarray(geometries, dtype=object)))
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)


def _edges(
    polygons: NDArray[np.object_], step: float
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return unit vectors of points along the edges, and whose each is."""
    points, owner = shapely.get_coordinates(shapely.segmentize(polygons, step), return_index=True)
    squares = np.column_stack([np.round(points / step), owner]).astype(np.int64)
    _, first = np.unique(squares, axis=0, return_index=True)
    lon, lat = np.radians(points[first]).T
    vectors = np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return vectors, owner[first]


def _linked(
    vectors: NDArray[np.float64], owner: NDArray[np.intp], count: int, linked_km: float
) -> NDArray[np.intp]:
    """Return the number of the group that each polygon belongs to, grown neighbour by neighbour."""
    near = np.cos(linked_km / EARTH_KM)
    label = np.full(count, -1, dtype=np.intp)
    for group in range(count):
        left = np.flatnonzero(label < 0)
        if not len(left):
            break
        label[left[0]] = group
        fresh = np.array([left[0]])
        while len(fresh):
            new = np.isin(owner, fresh)
            open_ = np.flatnonzero(label[owner] < 0)
            hit = _any_near(vectors[open_], vectors[new], near)
            fresh = np.unique(owner[open_[hit]])
            label[fresh] = group
    return label


def _any_near(
    points: NDArray[np.float64], others: NDArray[np.float64], near: float
) -> NDArray[np.bool_]:
    step = max(1, _PAIRS // max(1, len(others)))
    hits = [
        (points[start : start + step] @ others.T).max(axis=1) > near
        for start in range(0, len(points), step)
    ]
    return np.concatenate(hits) if hits else np.zeros(0, dtype=np.bool_)
