"""Places that ship with s2s_map: countries, first-level units and islands, with their outlines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

_DATA = Path(__file__).resolve().parent / "data"
_FILE = _DATA / "natural_earth.zip"


@dataclass(frozen=True)
class Place:
    """A country, a first-level unit or an island of one, without its outline.

    Attributes:
        row: Position in its layer of the shipped file; that in their table of islands.
        name: Its usual name.
        names: All its names, the usual one first.
        codes: ISO 3166-1 alpha-2 and alpha-3 of a country, and of islands that have some, ISO
            3166-2 of a unit; empty where there is none.
        country: ISO 3166-1 alpha-2 of the country it is or belongs to; empty where there is none.
        is_unit: Whether it is a unit or island of a country.
        parts: What an island or dependency is put together from: other places ("=FR-973",
            "=Canary Is., ES"), and parts of countries by a point inside ("FR 9.1 42.2", longitude
            and latitude). Empty for what has an outline of its own.
    """

    row: int
    name: str
    names: tuple[str, ...]
    codes: tuple[str, ...]
    country: str
    is_unit: bool
    parts: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name and code, as a person would tell it from others."""
        code = self.codes[0] if self.codes else self.country
        return f"{self.name} ({code})" if code else self.name


@lru_cache(maxsize=1)
def shipped_places() -> tuple[Place, ...]:
    """Return all countries, units and islands; reads names only."""
    units = _places("units")
    return (*_with_names(_places("countries"), units), *units, *_islands())


@lru_cache(maxsize=8)
def place_outline(place: Place) -> BaseGeometry:
    """Return the outline of a shipped place, longitude and latitude in degrees."""
    import geopandas

    if place.parts:
        outlines = [_part(text) for text in place.parts]
        together: BaseGeometry = shapely.unary_union(outlines) if outlines[1:] else outlines[0]
        return together
    layer = "units" if place.is_unit else "countries"
    frame = geopandas.read_file(_layer(layer), fids=[place.row], columns=[])
    outline: BaseGeometry = frame.geometry.iloc[0]
    return outline


def outlines_within(
    layer: str, bounds: tuple[float, float, float, float]
) -> Iterator[tuple[int, BaseGeometry]]:
    """Yield row and outline of what of a shipped layer touches a box; reads no other.

    Args:
        layer: "countries" or "units".
        bounds: (west, south, east, north) in degrees.
    """
    import geopandas

    frame = geopandas.read_file(_layer(layer), bbox=bounds, columns=[], fid_as_index=True)
    yield from zip((int(row) for row in frame.index), frame.geometry, strict=True)


def _part(text: str) -> BaseGeometry:
    if text.startswith("="):
        return place_outline(_place(text[1:]))
    country, lon, lat = text.split()
    parts: list[BaseGeometry] = list(shapely.get_parts(place_outline(_place(country))))
    point = shapely.Point(float(lon), float(lat))
    return next(part for part in parts if part.contains(point))


def _place(text: str) -> Place:
    """Return a country or unit by its code, or a unit by its usual name and country."""
    name, _, country = text.partition(", ")
    return next(
        place
        for place in shipped_places()
        if not place.parts
        and (name in place.codes or (name == place.name and country == place.country))
    )


def _with_names(countries: list[Place], units: list[Place]) -> Iterator[Place]:
    """Yield countries with their names in other languages, but those that are units' own."""
    more = json.loads((_DATA / "country_names.json").read_text(encoding="utf-8"))
    owners: dict[str, set[str]] = {}
    for unit in units:
        owners.setdefault(unit.name, set()).add(unit.country)
    for place in countries:
        own = {place.country}
        names = [name for name in more.get(place.country, []) if owners.get(name, own) == own]
        yield replace(place, names=tuple(dict.fromkeys((*place.names, *names))))


def _islands() -> Iterator[Place]:
    more = json.loads((_DATA / "country_names.json").read_text(encoding="utf-8"))
    with (_DATA / "islands.tsv").open(encoding="utf-8", newline="") as stream:
        for row, record in enumerate(csv.DictReader(stream, delimiter="\t")):
            codes = record["codes"].split()
            also = [*record["also"].split(", "), *(more.get(codes[0], []) if codes else [])]
            yield Place(
                row=row,
                name=record["name"],
                names=tuple(dict.fromkeys((record["name"], *filter(None, also)))),
                codes=tuple(codes),
                country=record["country"],
                is_unit=True,
                parts=tuple(record["where"].split("; ")),
            )


def _places(layer: str) -> list[Place]:
    import geopandas

    frame = geopandas.read_file(_layer(layer), ignore_geometry=True).fillna("")
    is_unit = layer == "units"
    codes = ["code"] if is_unit else ["alpha2", "alpha3"]
    country = "country" if is_unit else "alpha2"
    return [
        Place(
            row=row,
            name=record["name"],
            names=(record["name"], *filter(None, record["aliases"].split("|"))),
            codes=tuple(filter(None, (record[code] for code in codes))),
            country=record[country],
            is_unit=is_unit,
        )
        for row, record in enumerate(frame.to_dict("records"))
    ]


def _layer(name: str) -> str:
    return f"/vsizip/{_FILE}/{name}.fgb"
