"""Regions named by a place: its main part, another part of it, or what of it lies in a box."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from s2s_map.errors import RegionError
from s2s_map.regions.parts import Part, main_and_others
from s2s_map.regions.place_names import border_note, find_place, is_name, plain
from s2s_map.regions.places import Place, place_outline, shipped_places
from s2s_map.regions.projections import LONLAT
from s2s_map.regions.region import OtherPart, Outline

_NAMES = Path(__file__).resolve().parent / "data" / "part_names.tsv"
_IN_BRACKETS = re.compile(r"(?P<name>.+?)\s*\((?P<part>[^()]+(?:\([^()]*\)[^()]*)?)\)\s*")
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_WITHIN = re.compile(
    rf"(?P<name>.+?)\s+within\s*\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]\s*", re.IGNORECASE
)
_AT = re.compile(
    r"part at (?P<lon>\d+(?:\.\d+)?)\s*(?P<we>[EW]),?\s*(?P<lat>\d+(?:\.\d+)?)\s*(?P<sn>[NS])",
    re.IGNORECASE,
)
_ALL = "all"
# No name of a place is longer, and what is takes the patterns long.
_LONGEST = 300
# So far, in degrees, may a place that is written differ from the part that is meant.
_NEAR = 2.0
_SHOWN = 8


def place_region(text: str) -> Outline:
    """Return what a person means by the name of a place.

    ``Norway`` is its main part, ``Norway (Svalbard)`` or ``Norway (part at 17.3E 78.3N)`` another
    one, ``Norway within [4, 57, 12, 64]`` what of it lies in a box of degrees: west, south, east,
    north, west > east across the antimeridian.

    Args:
        text: Name or code of a shipped place, with what of it.

    Raises:
        RegionError: For an unknown place or part; for ``(all)`` of a place with several parts,
            which are several maps.
    """
    name, part, box = _parsed(text)
    place = find_place(name, shipped_places())
    if box is not None:
        return _within(place, name, text, box)
    parts = _parts(place)
    if part is None or (plain(part) == _ALL and len(parts) == 1):
        return _outline(place, name, 0)
    if plain(part) == _ALL:
        raise RegionError(
            f"{text} is {len(parts)} maps or more, of parts far from each other",
            expected=f"one part, such as {name}, or a batch",
            remedy=f"write regions: {{{_key(place.name)}: {text}}} into a batch file "
            "(s2s-map batch plan)",
        )
    return _outline(place, name, _chosen(part, place, parts))


def parts_of(text: str) -> list[Outline] | None:
    """Return all parts of a place that is written with ``(all)``; None for any other text.

    Raises:
        RegionError: For an unknown place.
    """
    name, part, _ = _parsed(text)
    if part is None or plain(part) != _ALL:
        return None
    place = find_place(name, shipped_places())
    return [_outline(place, name, number) for number in range(len(_parts(place)))]


def whole_place(name: str) -> Outline:
    """Return all parts of a place as one outline, however far they are from each other."""
    place = find_place(name, shipped_places())
    return Outline(
        place_outline(place), LONLAT, place.label, border_note(place), place=name, region=name
    )


def others_note(outline: Outline) -> str:
    """Return a line about the parts of a place that are not mapped with it; empty for none."""
    if not outline.others:
        return ""
    shown = "; ".join(other.label for other in outline.others[:_SHOWN])
    more = len(outline.others) - _SHOWN
    one = outline.others[0].region
    return (
        f"{outline.name} is its main part; not mapped: {shown}"
        f"{f'; and {more} more' if more > 0 else ''}. "
        f"region: {one} is such a part, region: {outline.place} (all) in a batch maps all"
    )


def place_label(lon: float, lat: float) -> str:
    """Return how a part without a name is called, such as ``part at 5.3W 36.1N``."""
    return f"part at {abs(lon):g}{'W' if lon < 0 else 'E'} {abs(lat):g}{'S' if lat < 0 else 'N'}"


def box_region(name: str, bounds: Sequence[float]) -> str:
    """Return the region of what of a place lies in a box of degrees."""
    return f"{name} within [{', '.join(f'{edge:g}' for edge in bounds)}]"


def _parsed(text: str) -> tuple[str, str | None, tuple[float, ...] | None]:
    if len(text) > _LONGEST:
        return text, None, None
    within = _WITHIN.fullmatch(text)
    if within is not None:
        return within["name"], None, tuple(float(edge) for edge in within.groups()[1:])
    found = _IN_BRACKETS.fullmatch(text)
    # Some names have brackets of their own: the Cocos (Keeling) Islands.
    if found is None or is_name(text, shipped_places()):
        return text, None, None
    return found["name"], found["part"].strip(), None


@lru_cache(maxsize=8)
def _parts(place: Place) -> tuple[Part, ...]:
    return tuple(main_and_others(place_outline(place)))


def _outline(place: Place, written: str, number: int) -> Outline:
    parts = _parts(place)
    named = _named(place)
    labels = [_label(part, named) for part in parts]
    others = tuple(
        OtherPart(label, part.area_km2, f"{written} ({label})")
        for label, part in list(zip(labels, parts, strict=True))[1:]
    )
    name = place.label if number == 0 else f"{labels[number]} ({place.name})"
    return Outline(
        parts[number].geometry,
        LONLAT,
        name,
        border_note(place),
        place=written,
        region=written if number == 0 else others[number - 1].region,
        others=others if number == 0 else (),
    )


def _label(part: Part, named: Sequence[tuple[str, shapely.Point]]) -> str:
    for name, point in named:
        if part.geometry.distance(point) < _NEAR:
            return name
    return place_label(*part.point)


def _named(place: Place) -> list[tuple[str, shapely.Point]]:
    return [(name, point) for country, name, point in _part_names() if country == place.country]


@lru_cache(maxsize=1)
def _part_names() -> tuple[tuple[str, str, shapely.Point], ...]:
    """Country, name and a point of each part that has a name."""
    with _NAMES.open(encoding="utf-8", newline="") as stream:
        return tuple(
            (row["country"], row["name"], shapely.Point(float(row["lon"]), float(row["lat"])))
            for row in csv.DictReader(stream, delimiter="\t")
        )


def _chosen(text: str, place: Place, parts: Sequence[Part]) -> int:
    """Return the number of the part that is meant by name, or by a point in or near it."""
    named = _named(place)
    labels = [_label(part, named) for part in parts]
    for number, label in enumerate(labels):
        if number and plain(label) == plain(text):
            return number
    at = _AT.match(text)
    if at is not None:
        lon = float(at["lon"]) * (-1.0 if at["we"].upper() == "W" else 1.0)
        lat = float(at["lat"]) * (-1.0 if at["sn"].upper() == "S" else 1.0)
        point = shapely.Point(lon, lat)
        distances = [part.geometry.distance(point) for part in parts]
        if min(distances) < _NEAR:
            return distances.index(min(distances))
    there = ", ".join(labels[1 : _SHOWN + 1])
    raise RegionError(
        f"no part {text!r} of {place.name}",
        expected=f"one of {there}, or all in a batch" if there else "the name of the place alone",
    )


def _within(place: Place, written: str, text: str, box: Sequence[float]) -> Outline:
    west, south, east, north = box
    if not (south < north and -180.0 <= west <= 180.0 and -180.0 <= east <= 180.0 and west != east):
        raise RegionError(
            f"{text}: no box of degrees", expected="[west, south, east, north], as of a map"
        )
    sides = [(west, east)] if west < east else [(west, 180.0), (-180.0, east)]
    window = shapely.union_all([shapely.box(w, south, e, north) for w, e in sides if w < e])
    inside = _areas(place_outline(place).intersection(window))
    if inside.is_empty:
        raise RegionError(f"nothing of {place.name} lies within {list(box)}")
    return Outline(inside, LONLAT, text, border_note(place), place=written, region=text)


def _areas(geometry: BaseGeometry) -> BaseGeometry:
    polygons = [
        part
        for part in shapely.get_parts(shapely.get_parts(geometry))
        if part.geom_type == "Polygon"
    ]
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", plain(name)).strip("-") or "place"
