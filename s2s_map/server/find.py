"""What a person types to get somewhere: coordinates in either order, or the name of a place."""

from __future__ import annotations

import re
from dataclasses import dataclass

from s2s_map.errors import RegionError

LONGEST = 200
_ANGLE = (
    r"([+\-−]?\d+(?:[.,]\d+)?)\s*(?:°|º|deg)?\s*(?:(\d+(?:\.\d+)?)\s*['′’]\s*)?"
    r"(?:(\d+(?:\.\d+)?)\s*(?:\"|″|''|”)\s*)?"
)
# Letters stand before their numbers, or behind.
_FORMS = (
    re.compile(rf"(?P<letter>[NSEWO])\s*{_ANGLE}", re.IGNORECASE),
    re.compile(rf"{_ANGLE}\s*(?P<letter>[NSEWO])?", re.IGNORECASE),
)
_WEST_OR_EAST = re.compile(r"(?<![a-z])o(?![a-z])", re.IGNORECASE)
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Found:
    """Where to go.

    Attributes:
        label: What was found.
        bounds: (west, south, east, north) in degrees; of a point all of no width.
        note: What was guessed, if anything.
    """

    label: str
    bounds: Box
    note: str = ""

    @property
    def is_point(self) -> bool:
        """Whether it is a point."""
        return self.bounds[:2] == self.bounds[2:]


def find(text: str, around: Box) -> Found:
    """Return what a text means.

    Args:
        text: Two numbers, or a name.
        around: (west, south, east, north) of what is looked at, for a guess at the order.

    Raises:
        RegionError: For what is neither, with suggestions.
    """
    wanted = " ".join(text[:LONGEST].split())
    if not wanted:
        raise RegionError("nothing to find", expected="a place's name, or two coordinates")
    return coordinates(wanted, around) or _named(wanted)


def coordinates(text: str, around: Box) -> Found | None:
    """Return the point that two coordinates mean; None if the text is no two coordinates.

    Letters (N, S, E, W) decide the order; without them a number above 90 is a longitude, then
    whatever order lies in what is looked at, and else the latitude comes first.

    Raises:
        RegionError: For numbers that are nowhere on Earth.
    """
    parts = _two(text)
    if parts is None:
        return None
    (one, one_letter), (two, two_letter) = parts
    letters = one_letter + two_letter
    if letters:
        first_is_lat = one_letter in "NS" if one_letter else two_letter not in "NS"
        if len(letters) == 2 and (one_letter in "NS") == (two_letter in "NS"):
            raise RegionError(f"the coordinates {text}", expected="one of N or S, one of E or W")
        # It is west in French and Spanish, and east in German.
        note = "O read as west; E is east" if _WEST_OR_EAST.search(text) else ""
    else:
        first_is_lat, note = _order(one, two, around)
    lat, lon = (one, two) if first_is_lat else (two, one)
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise RegionError(
            f"the coordinates {text}", expected="latitude -90 to 90 and longitude -180 to 180"
        )
    return Found(f"{lat:.5g}° lat, {lon:.6g}° lon", (lon, lat, lon, lat), note)


def _order(one: float, two: float, around: Box) -> tuple[bool, str]:
    if abs(one) > 90:
        return False, "read as longitude, latitude: the first number is beyond 90"
    if abs(two) > 90:
        return True, "read as latitude, longitude: the second number is beyond 90"
    as_lat, as_lon = _within(two, one, around), _within(one, two, around)
    if as_lat != as_lon:
        order = "latitude, longitude" if as_lat else "longitude, latitude"
        return as_lat, f"read as {order}: the other way round is off this map"
    return True, "read as latitude, longitude, as most maps write it"


def _within(lon: float, lat: float, around: Box) -> bool:
    west, south, east, north = around
    return west <= lon <= east and south <= lat <= north


def _two(text: str) -> tuple[tuple[float, str], tuple[float, str]] | None:
    """Return two signed numbers with their letters; None if the text holds anything else."""
    for comma in (True, False):
        # "25,5 -54,6" has commas in its numbers; "25.5, -54.6" between them.
        plain = text.replace(",", " ") if comma else text
        plain = re.sub(r"[;/()\[\]]|\b(?:lat|lon|long|latitude|longitude)\b\s*[:=]?", " ", plain)
        for form in _FORMS:
            found = list(form.finditer(plain))
            if len(found) == 2 and not form.sub("", plain).strip():
                return _signed(found[0]), _signed(found[1])
    return None


def _signed(match: re.Match[str]) -> tuple[float, str]:
    letter = (match["letter"] or "").upper().replace("O", "W")
    degrees, minutes, seconds = (g for i, g in enumerate(match.groups(), 1) if i != _at(match))
    number = degrees.replace("−", "-").replace(",", ".")
    whole = abs(float(number)) + float(minutes or 0) / 60 + float(seconds or 0) / 3600
    negative = number.startswith("-") or letter in ("S", "W")
    return (-whole if negative else whole), letter


def _at(match: re.Match[str]) -> int:
    return match.re.groupindex["letter"]


def _named(text: str) -> Found:
    from s2s_map.regions.place_names import find_place
    from s2s_map.regions.places import place_outline, shipped_places

    place = find_place(text, shipped_places())
    west, south, east, north = (float(edge) for edge in place_outline(place).bounds)
    return Found(place.label, (west, south, east, north))
