"""Places that ship with s2s_map: countries and first-level units, with their outlines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from shapely.geometry.base import BaseGeometry

_FILE = Path(__file__).resolve().parent / "data" / "natural_earth.zip"


@dataclass(frozen=True)
class Place:
    """A country or a first-level unit of one, without its outline.

    Attributes:
        row: Position in its layer of the shipped file.
        name: Its usual name.
        names: All its names, the usual one first.
        codes: ISO 3166-1 alpha-2 and alpha-3 of a country, ISO 3166-2 of a unit; empty where
            there is none.
        country: ISO 3166-1 alpha-2 of the country it is or belongs to; empty where there is none.
        is_unit: Whether it is a unit of a country.
    """

    row: int
    name: str
    names: tuple[str, ...]
    codes: tuple[str, ...]
    country: str
    is_unit: bool

    @property
    def label(self) -> str:
        """Name and code, as a person would tell it from others."""
        code = self.codes[0] if self.codes else self.country
        return f"{self.name} ({code})" if code else self.name


@lru_cache(maxsize=1)
def shipped_places() -> tuple[Place, ...]:
    """Return all countries and units; reads names only."""
    return (*_places("countries"), *_places("units"))


@lru_cache(maxsize=8)
def place_outline(place: Place) -> BaseGeometry:
    """Return the outline of a shipped place, longitude and latitude in degrees."""
    import pyogrio

    layer = "units" if place.is_unit else "countries"
    frame = pyogrio.read_dataframe(_layer(layer), fids=[place.row], columns=[])
    outline: BaseGeometry = frame.geometry.iloc[0]
    return outline


def _places(layer: str) -> list[Place]:
    import pyogrio

    frame = pyogrio.read_dataframe(_layer(layer), read_geometry=False).fillna("")
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
