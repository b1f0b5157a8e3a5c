"""Places by name and code, against the shipped countries and units."""

from __future__ import annotations

import pytest
import shapely
from pyproj import Geod

from s2s_map.catalog.place_names import border_note, find_place, plain
from s2s_map.catalog.places import place_outline, shipped_places
from s2s_map.errors import RegionError

PLACES = shipped_places()


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
        ("ch", ["no place named 'ch'"]),
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
    area = abs(Geod(ellps="WGS84").geometry_area_perimeter(shapely.orient_polygons(outline))[0])
    assert area / 1e6 == pytest.approx(square_km, rel=0.06)


def test_every_country_has_an_outline_and_its_codes_are_its_own() -> None:
    countries = [p for p in PLACES if not p.is_unit]
    assert len(countries) == 255
    codes = [code for place in PLACES for code in place.codes]
    assert len(codes) == len(set(codes))
    assert sum(bool(p.codes) for p in countries) > 235
