"""Places by name and code, against the shipped countries and units."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import shapely
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

import s2s_map.regions.places
from s2s_map.errors import RegionError
from s2s_map.regions.place_names import border_note, find_place, plain
from s2s_map.regions.places import place_outline, shipped_places

PLACES = shipped_places()
TABLE = Path(s2s_map.regions.places.__file__).parent / "data" / "islands.tsv"
# Outlines are thinned to about 2 km, and atolls with them.
COARSE = {
    "Bouvet Island": 0.15,
    "Caribbean Netherlands": 0.1,
    "Christmas Island": 0.3,
    "Cocos (Keeling) Islands": 0.1,
    "Jan Mayen": 0.25,
    "Tokelau": 0.5,
}
# What units elsewhere are called, and countries in other languages.
OF_UNITS = {"Granada", "San Martín", "Santa Elena", "Équateur"}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Switzerland", "Switzerland (CH)"),
        ("switzerland ", "Switzerland (CH)"),
        ("CH", "Switzerland (CH)"),
        ("CHE", "Switzerland (CH)"),
        ("CH-ZH", "Zürich (CH-ZH)"),
        ("zurich", "Zürich (CH-ZH)"),
        ("Bavaria", "Bayern (DE-BY)"),
        ("GE", "Georgia (GE)"),
        ("US-GA", "Georgia (US-GA)"),
        ("Georgia, US", "Georgia (US-GA)"),
        ("Georgia, United States", "Georgia (US-GA)"),
        ("Vatican City", "Vatican (VA)"),
        ("Ivory Coast", "Côte d'Ivoire (CI)"),
        ("The Gambia", "Gambia (GM)"),
        ("UK", "United Kingdom (GB)"),
        ("Scotland", "Scotland (GB-SCT)"),
        ("XK", "Kosovo (XK)"),
        ("Chukotka", "Chukchi Autonomous Okrug (RU-CHU)"),
        ("Svalbard", "Svalbard (NO-21)"),
        ("Hawaii", "Hawaii (US-HI)"),
        ("Deutschland", "Germany (DE)"),
        ("DEU", "Germany (DE)"),
        ("Espana", "Spain (ES)"),
        ("España", "Spain (ES)"),
        ("Cote d Ivoire", "Côte d'Ivoire (CI)"),
        ("Côte d’Ivoire", "Côte d'Ivoire (CI)"),
        ("Republic of Korea", "South Korea (KR)"),
        ("Republic of Congo", "Congo (CG)"),
        ("Holland", "Netherlands (NL)"),
        ("Burma", "Myanmar (MM)"),
        ("Czech Republic", "Czechia (CZ)"),
        ("Česko", "Czechia (CZ)"),
        ("Turkiye", "Turkey (TR)"),
        ("U.S.A.", "United States of America (US)"),
        ("u.k.", "United Kingdom (GB)"),
        ("St. Lucia", "Saint Lucia (LC)"),
        ("Northern Cyprus", "N. Cyprus"),
        ("Österreich", "Austria (AT)"),
        ("Suisse", "Switzerland (CH)"),
        ("Polska", "Poland (PL)"),
        ("Éire", "Ireland (IE)"),
        ("Россия", "Russia (RU)"),
        ("日本", "Japan (JP)"),
        ("भारत", "India (IN)"),
        ("مصر", "Egypt (EG)"),
        ("Suomi", "Finland (FI)"),
        ("Samoa", "Samoa (WS)"),
        ("Guinea", "Guinea (GN)"),
        ("Puerto Rico", "Puerto Rico (PR)"),
        ("Corsica", "Corsica (FR)"),
        ("French Guiana", "French Guiana (GF)"),
        ("GUF", "French Guiana (GF)"),
        ("RE", "Réunion (RE)"),
        ("Canarias", "Canary Islands (ES)"),
        ("Rhodes, Greece", "Rhodes (GR)"),
        ("Alaska", "Alaska (US-AK)"),
        ("Azores", "Azores (PT-20)"),
        ("Tasmania", "Tasmania (AU-TAS)"),
    ],
)
def test_names_and_codes(text: str, label: str) -> None:
    assert find_place(text, PLACES).label == label


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("Georgia", ["2 places", "GE (Georgia, country)", "US-GA (Georgia, of United States"]),
        ("Amazonas", ["4 places", "BR-AM", "CO-AMA"]),
        ("Switzerlnd", ["did you mean 'Switzerland'?"]),
        ("Qwxyzburgh", ["no place named 'Qwxyzburgh'", "bounding box"]),
        ("ch", ["no place named 'ch'", "did you mean 'CH'? codes are in capitals"]),
        ("Korea", ["2 places", "KP (North Korea, country)", "KR (South Korea, country)"]),
        ("the Congo", ["2 places", "CG (Congo, country)", "CD (Congo, The Democratic"]),
        ("Virgin Islands", ["2 places", "VG (Virgin Islands, British", "VI (Virgin Islands, U.S."]),
        ("Guiana", ["2 places", "GY (Guyana, country)", "GF (French Guiana, of France)"]),
        ("Flores", ["2 places", "UY-FS (Flores, of Uruguay)", "'Flores, ID'"]),
        ("Deutschlnd", ["did you mean 'Deutschland'?"]),
        ("Sardina", ["did you mean 'Sardinia'"]),
        ("Kashmir", ["draws no Kashmir", "lines of control", "polygon of your own"]),
    ],
)
def test_what_is_no_place_or_several_is_answered(text: str, messages: list[str]) -> None:
    with pytest.raises(RegionError) as error:
        find_place(text, PLACES)
    assert all(message in str(error.value) for message in messages), str(error.value)
    assert "\n" not in str(error.value)


def test_disputed_borders_are_said() -> None:
    assert "Crimea" in border_note(find_place("Ukraine", PLACES))
    assert "Natural Earth" in border_note(find_place("Western Sahara", PLACES))
    assert border_note(find_place("Switzerland", PLACES)) == ""


def test_names_are_compared_without_accents_case_and_articles() -> None:
    assert plain("Côte d’Ivoire") == plain("cote d'ivoire") == "cote divoire"
    assert plain("The Bahamas") == "bahamas"
    assert plain("Sør-Trøndelag") == "sor trondelag"


@pytest.mark.parametrize(
    ("name", "square_km"),
    [
        ("CH", 41_290),
        ("KE", 580_370),
        ("FJ", 18_270),
        ("RU", 16_980_000),
        ("US", 9_450_000),
        ("AQ", 12_360_000),
        ("VA", 0.0122),
        ("US-HI", 16_640),
        ("IT-25", 23_860),
    ],
)
def test_outlines_have_the_area_of_the_place(name: str, square_km: float) -> None:
    outline = place_outline(find_place(name, PLACES))
    assert outline.is_valid
    assert square_kilometres(outline) == pytest.approx(square_km, rel=0.06)


def square_kilometres(outline: BaseGeometry) -> float:
    there = shapely.orient_polygons(outline)
    return abs(float(Geod(ellps="WGS84").geometry_area_perimeter(there)[0])) / 1e6


def test_every_island_is_found_and_has_its_area() -> None:
    """The table's areas are published ones, of other measurements than these outlines."""
    with TABLE.open(encoding="utf-8", newline="") as stream:
        published = {
            row["name"]: float(row["km2"]) for row in csv.DictReader(stream, delimiter="\t")
        }
    islands = [place for place in PLACES if place.parts]
    assert len(islands) == len(published)
    for place in islands:
        where = place_outline(place)
        assert where.is_valid
        km2 = square_kilometres(where)
        assert km2 == pytest.approx(published[place.name], rel=COARSE.get(place.name, 0.06)), place
        name = place.codes[0] if place.codes else f"{place.name}, {place.country}"
        found = place_outline(find_place(name, PLACES))
        assert found.intersection(where).area > 0.5 * max(found.area, where.area), place


def test_no_two_countries_are_called_the_same() -> None:
    called: dict[str, set[str]] = {}
    for place in PLACES:
        if not place.is_unit and place.codes:
            for name in place.names:
                called.setdefault(plain(name), set()).add(place.name)
    assert {name: who for name, who in called.items() if len(who) > 1} == {}


def test_every_country_has_its_own_name_and_both_codes() -> None:
    named = json.loads((TABLE.parent / "country_names.json").read_text(encoding="utf-8"))
    coded = {place.codes[0]: place for place in PLACES if len(place.codes) == 2}
    assert set(named) <= set(coded)
    left_out = {name for code in named for name in {*named[code]} - {*coded[code].names}}
    assert left_out == OF_UNITS
    assert all([len(one) for one in place.codes] == [2, 3] for place in coded.values())
    for code, name in (
        ("KE", "Kenya"),
        ("GR", "Ελλάδα"),
        ("CN", "中国"),
        ("GF", "Guyane française"),
    ):
        assert name in coded[code].names


def test_every_country_has_an_outline_and_its_codes_are_its_own() -> None:
    countries = [p for p in PLACES if not p.is_unit]
    assert len(countries) == 255
    codes = [code for place in PLACES for code in place.codes]
    assert len(codes) == len(set(codes))
    assert sum(bool(p.codes) for p in countries) > 235
