"""Main parts of places, their other parts, and what of a place lies in a box."""

from __future__ import annotations

import csv

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.errors import RegionError
from s2s_map.regions import place_region as module
from s2s_map.regions.coverage import Coverage
from s2s_map.regions.parts import LINKED_KM, main_and_others, sphere_area, split_by_gaps
from s2s_map.regions.place_region import others_note, parts_of, place_label, place_region
from s2s_map.regions.places import place_outline, shipped_places
from s2s_map.regions.projections import LONLAT
from s2s_map.regions.region_file import read_outline


@pytest.mark.parametrize(
    ("name", "inside", "others"),
    [
        ("Norway", (10.8, 59.9), ["Svalbard", "Jan Mayen", "Bouvet Island"]),
        ("France", (2.3, 48.9), ["French Guiana", "Guadeloupe and Martinique", "Réunion"]),
        ("Netherlands", (5.2, 52.1), ["Bonaire", "Saba and Sint Eustatius"]),
        ("US", (-98.0, 39.0), ["Alaska", "Hawaii"]),
        ("Spain", (-3.7, 40.4), ["Canary Islands"]),
        ("Portugal", (-8.0, 39.5), ["Azores", "Madeira"]),
        ("Ecuador", (-78.5, -0.2), ["Galápagos Islands"]),
        ("Chile", (-70.6, -33.5), ["Easter Island"]),
        ("South Africa", (28.0, -26.2), ["Prince Edward Islands"]),
        ("Malaysia", (101.7, 3.2), []),
        ("Kenya", (36.8, -1.3), []),
    ],
)
def test_a_place_is_its_main_part(
    name: str, inside: tuple[float, float], others: list[str]
) -> None:
    outline = place_region(name)
    assert outline.geometry.contains(shapely.Point(inside))
    assert [other.name for other in outline.others][: len(others)] == others
    assert bool(outline.others) == bool(others)
    note = others_note(outline)
    assert "\n" not in note
    for other in outline.others[:8]:
        assert other.label in note
        part = read_outline(other.region, ())
        assert part.others == ()
        assert not part.geometry.intersects(outline.geometry)
        assert float(sphere_area(part.geometry)) == pytest.approx(other.area_km2)
    assert ("(all) in a batch maps all" in note) == bool(others)


def test_both_halves_of_malaysia_are_its_main_part() -> None:
    assert place_region("Malaysia").geometry.contains(shapely.Point(114.0, 4.0))


def test_every_name_of_a_part_is_of_one() -> None:
    """Each row of the table lies in a part that is not its country's main one."""
    with module._NAMES.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert len(rows) > 60
    countries = {p.country: p for p in shipped_places() if not p.is_unit}
    by_country: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_country.setdefault(row["country"], []).append(row)
    for country, named in by_country.items():
        if not country:
            continue
        outline = place_region(country)
        names = {other.name for other in outline.others}
        assert {row["name"] for row in named} == {n for n in names if not n.startswith("part at")}
        assert countries[country]


def test_a_part_without_a_name_is_named_by_its_place_and_size() -> None:
    assert place_label(-5.3, 36.1) == "part at 5.3W 36.1N"
    outline = place_region("Brazil")
    label = next(other for other in outline.others if other.name.startswith("part at"))
    assert label.label == "part at 29.4W 0.9N, 38 km2"
    assert place_region(label.region).geometry.distance(shapely.Point(-29.4, 0.9)) < 0.2
    # As a person writes it, who read it off a map.
    assert place_region("Brazil (part at 29W 1N)").name == place_region(label.region).name
    assert place_region("Spain (part at 16W 28N)").name == "Canary Islands (Spain)"


def test_all_parts_are_several_maps() -> None:
    parts = parts_of("France (all)")
    assert parts is not None
    assert [part.region for part in parts[:2]] == ["France", "France (French Guiana)"]
    assert parts_of("France") is None
    with pytest.raises(RegionError, match=r"France \(all\) is 5 maps or more.*batch file"):
        place_region("France (all)")
    # A place of one part is that part.
    assert place_region("Kenya (all)").geometry.equals(place_region("Kenya").geometry)


def test_what_of_a_place_lies_in_a_box() -> None:
    outline = place_region("Norway within [4, 57, 12, 62]")
    west, south, east, north = outline.geometry.bounds
    assert 4.0 <= west < east <= 12.0
    assert 57.0 <= south < north <= 62.0
    assert outline.geometry.within(place_outline(_country("NO")).buffer(1e-9))
    fiji = place_region("fiji within [177, -19, -179, -16]")
    assert fiji.extent.holds_longitude(180.0)
    assert fiji.extent.width < 4.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Norway (Elba)", "no part 'Elba' of Norway; expected one of Svalbard"),
        ("Norwegen (Elba)", "no part 'Elba' of Norwegen|no part 'Elba' of Norway"),
        ("Kenya (Elba)", "no part 'Elba' of Kenya; expected the name of the place alone"),
        ("Norway (part at 100E 10N)", "no part"),
        ("Norwy (all)", "no place named 'Norwy'; .*did you mean 'Norway'"),
        ("Georgia (all)", "'Georgia' is the name of 2 places"),
        ("France within [1, 2, 3, 4]", "nothing of France lies within"),
        ("France within [1, 4, 3, 2]", "no box of degrees"),
        ("France within [1, 2, 300, 4]", "no box of degrees"),
    ],
)
def test_what_is_no_part_is_answered_in_one_line(text: str, message: str) -> None:
    with pytest.raises(RegionError, match=message) as raised:
        place_region(text)
    assert "\n" not in str(raised.value)


def test_imagery_of_another_part_names_it() -> None:
    svalbard = [Coverage(shapely.box(15.0, 78.0, 17.0, 79.0), LONLAT)]
    with pytest.raises(RegionError, match=r"it covers another part: region: Norway \(Svalbard\)"):
        read_outline("Norway", svalbard)
    assert read_outline("Norway (Svalbard)", svalbard).name == "Svalbard (Norway)"
    with pytest.raises(RegionError, match="the order is west"):
        read_outline("Norway", [Coverage(shapely.box(100.0, 0.0, 101.0, 1.0), LONLAT)])


def test_names_with_brackets_of_their_own_are_names() -> None:
    assert place_region("Cocos (Keeling) Islands").extent.south < -12.0
    assert place_region("Falkland Islands (Malvinas)").extent.south < -52.0


def test_main_and_others_are_all_of_every_country() -> None:
    for name in ("Kiribati", "Fiji", "Norway", "Micronesia"):
        whole = place_outline(next(p for p in shipped_places() if p.name == name))
        parts = main_and_others(whole)
        total = float(sum(sphere_area(shapely.get_parts(whole))))
        assert sum(part.area_km2 for part in parts) == pytest.approx(total)
        assert parts[0].area_km2 == max(part.area_km2 for part in parts)


@given(gap_km=st.floats(30.0, 2000.0), lat=st.floats(-70.0, 70.0), lon=st.floats(-180.0, 180.0))
def test_squares_are_one_part_where_the_gap_is_less(gap_km: float, lat: float, lon: float) -> None:
    """Across the antimeridian as elsewhere; near the limit gaps are known to 28 km."""
    degrees = gap_km / 111.2
    low = shapely.box(lon, lat - 0.5, lon + 0.3, lat)
    high = shapely.box(lon, lat + degrees, lon + 0.3, lat + degrees + 0.2)
    if lat + degrees + 0.2 > 89.0 or abs(gap_km - LINKED_KM) < 30.0:
        return
    wrapped = [shapely.affinity.translate(high, -360.0) if lon > 90 else high]
    parts = split_by_gaps(shapely.MultiPolygon([low, *wrapped]))
    assert len(parts) == (1 if gap_km < LINKED_KM else 2)


def _country(code: str):  # type: ignore[no-untyped-def]
    return next(place for place in shipped_places() if code in place.codes)
