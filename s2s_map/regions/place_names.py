"""Finding a place by what a person calls it: names, codes, suggestions, and what is disputed."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from s2s_map.errors import RegionError
from s2s_map.regions.places import Place, place_outline

_CUTOFF = 0.75

# Whose borders are disputed, as far as Natural Earth's view of who holds what decides the map.
DISPUTED = {
    "AM": "Nagorno-Karabakh",
    "AR": "the Falkland Islands",
    "AZ": "Nagorno-Karabakh",
    "CN": "Kashmir, Arunachal Pradesh, Taiwan and islands of the South China Sea",
    "CY": "Northern Cyprus",
    "EH": "Western Sahara",
    "FK": "the Falkland Islands",
    "GE": "Abkhazia and South Ossetia",
    "IL": "the West Bank, Gaza and the Golan Heights",
    "IN": "Kashmir and Arunachal Pradesh",
    "JP": "the Kuril Islands",
    "MA": "Western Sahara",
    "MD": "Transnistria",
    "PK": "Kashmir",
    "PS": "the West Bank and Gaza",
    "RS": "Kosovo",
    "RU": "Crimea and eastern Ukraine, the Kuril Islands",
    "SD": "Abyei and the Hala'ib Triangle",
    "SO": "Somaliland",
    "SY": "the Golan Heights",
    "TW": "Taiwan",
    "UA": "Crimea and eastern Ukraine",
    "XK": "Kosovo",
}
_DISPUTED_NAMES = {
    "Somaliland": "Somaliland",
    "N. Cyprus": "Northern Cyprus",
    "Siachen Glacier": "Kashmir",
    "Spratly Is.": "the Spratly Islands",
    "Scarborough Reef": "the Scarborough Reef",
}
# What people ask for and Natural Earth draws as no place of its own: where it is drawn instead.
_NOT_DRAWN = {
    "kashmir": "divided between India, Pakistan and China along the lines of control",
    "nagorno karabakh": "within Azerbaijan",
    "artsakh": "within Azerbaijan",
    "golan heights": "within Israel and Syria along the line of control",
    "gaza": "within Palestine",
    "gaza strip": "within Palestine",
    "west bank": "within Palestine",
    "kurdistan": "within Turkey, Iraq, Iran and Syria",
}
# What means one of several, though none of them, or one alone, is called just so: their codes.
_ASKED = {
    "congo": ("CD", "CG"),
    "guiana": ("GY", "GF"),
    "korea": ("KP", "KR"),
    "virgin islands": ("VG", "VI"),
}
_LETTERS = str.maketrans(
    {"ı": "i", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d", "æ": "ae", "œ": "oe"}
)
_IN_FULL = {"st": "saint", "is": "islands", "n": "northern", "ter": "territory"}
_SAME_AREA = 0.5


def find_place(text: str, places: Sequence[Place]) -> Place:
    """Return the one place that a person means.

    A code (``CH``, ``CHE``, ``CH-ZH``) in capitals comes first; then names, in any case and
    without regard to accents, spaces and punctuation; then a unit or island with its country,
    ``Georgia, US``.

    Args:
        text: A name or code.
        places: Where to look.

    Raises:
        RegionError: For an unknown name, with suggestions; for one that several places have, with
            what to write for each; for a territory that Natural Earth does not draw by itself.
    """
    wanted = text.strip()
    by_code = [place for place in places if wanted in place.codes]
    if by_code:
        return _only(wanted, by_code, places)
    if plain(wanted) in _NOT_DRAWN:
        raise RegionError(
            f"Natural Earth draws no {wanted}: it lies {_NOT_DRAWN[plain(wanted)]} in its view of "
            "who holds what",
            remedy="give a polygon of your own as GeoJSON, GPKG or WKT",
        )
    asked = [p for p in places for code in _ASKED.get(plain(wanted), ()) if code in p.codes]
    if asked:
        raise _several(wanted, asked, places)
    found = _named(wanted, places)
    name, _, country = wanted.rpartition(",")
    if not found and name:
        owners = {p.country for p in _countries(country.strip(), places)}
        found = [p for p in _named(name, places) if p.is_unit and p.country in owners]
    if found:
        return _only(wanted, found, places)
    raise RegionError(
        f"no place named {wanted!r}",
        expected="a country, first-level unit or island by name or ISO code",
        remedy=_suggestion(wanted, places),
    )


def is_name(text: str, places: Iterable[Place]) -> bool:
    """Return whether a text, as it is, is the name of a place or of several."""
    return bool(_named(text, places))


def border_note(place: Place) -> str:
    """Return what is to be known about the borders of a place; empty if they are not disputed."""
    what = DISPUTED.get(place.country, "") or _DISPUTED_NAMES.get(place.name, "")
    if not what:
        return ""
    return (
        f"borders are Natural Earth's view of who holds what and no statement of ours; {what}: "
        "disputed, give a polygon of your own for another view"
    )


def plain(name: str) -> str:
    """Return a name in lower case without accents, punctuation and a leading "the"."""
    text = unicodedata.normalize("NFKD", name.casefold().translate(_LETTERS))
    kept = "".join(c for c in text if not unicodedata.combining(c)).casefold()
    kept = kept.replace("&", " and ").replace("'", "").replace("’", "")
    # Vowels of Indian scripts are marks.
    words = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in kept)
    several = words.split()
    return " ".join(several[1:] if len(several) > 1 and several[0] == "the" else several)


@lru_cache(maxsize=100_000)
def _key(name: str) -> str:
    """What names are compared by: "St. Lucia" in full, "Cote d Ivoire" and "U.S.A." in one."""
    return "".join(_IN_FULL.get(word, word) for word in plain(name).split())


def _named(name: str, places: Iterable[Place]) -> list[Place]:
    """Places of this name; if some have it as their usual name, these alone."""
    key = _key(name)
    also = [place for place in places if any(_key(n) == key for n in place.names)]
    first = [place for place in also if _key(place.name) == key]
    # A country is meant by any of its names, whatever else is called so.
    return [p for p in also if p in first or not p.is_unit] or also


def _countries(text: str, places: Sequence[Place]) -> list[Place]:
    states = [p for p in places if not p.is_unit]
    return [p for p in states if text in p.codes] or _named(text, states)


def _only(text: str, found: Sequence[Place], places: Sequence[Place]) -> Place:
    # An island state that is one unit of itself is one place: the country.
    countries = [p for p in found if not p.is_unit]
    rest = [p for p in found if p.is_unit and not any(p.country == c.country for c in countries)]
    several: list[Place] = []
    for place in (*countries, *rest):
        if not any(_same_ground(place, other) for other in several):
            several.append(place)
    if len(several) == 1:
        return several[0]
    raise _several(text, several, places)


def _same_ground(place: Place, other: Place) -> bool:
    """Whether two outlines are of the same place: Puerto Rico as a country and as a unit."""
    one, two = place_outline(place), place_outline(other)
    shared = one.intersection(two).area
    return bool(shared > _SAME_AREA * max(one.area, two.area))


def _several(text: str, several: Sequence[Place], places: Sequence[Place]) -> RegionError:
    names = {p.country: p.name for p in places if not p.is_unit and p.country}
    ways = [_unambiguous(p, names) for p in several]
    return RegionError(
        f"{text!r} is the name of {len(several)} places",
        expected=f"one of {', '.join(ways[:12])}{' ...' if len(ways) > 12 else ''}",
    )


def _unambiguous(place: Place, countries: dict[str, str]) -> str:
    if place.codes:
        kind = f"of {countries.get(place.country, place.country)}" if place.is_unit else "country"
        return f"{place.codes[0]} ({place.name}, {kind})"
    return f"'{place.name}, {place.country}'" if place.is_unit else place.name


def _suggestion(wanted: str, places: Sequence[Place]) -> str:
    if any(wanted.upper() in place.codes for place in places):
        return f"did you mean {wanted.upper()!r}? codes are in capitals"
    known: dict[str, str] = {}
    for place in places:
        for name in place.names:
            known.setdefault(plain(name), name)
    near = difflib.get_close_matches(plain(wanted), known, n=3, cutoff=_CUTOFF)
    if not near:
        return "see docs/regions.md, or give a bounding box, a polygon file or WKT"
    return f"did you mean {' or '.join(repr(known[n]) for n in near)}?"
