"""Which place a point lies in, and the outlines around it."""

from __future__ import annotations

import pytest

from s2s_map.regions.place_at import outlines, place_at


@pytest.mark.parametrize(
    ("lon", "lat", "place"),
    [(7.4, 46.9, "Bern, Switzerland"), (-54.6, -25.4, "Alto Paraná, Paraguay"), (-30.0, 0.0, None)],
)
def test_a_point_is_in_a_unit_of_a_country(lon: float, lat: float, place: str | None) -> None:
    assert place_at(lon, lat) == place


def test_outlines_are_lines_within_the_box_and_names_within_their_places() -> None:
    found = outlines((5.0, 45.0, 11.0, 48.5), 0.01, units=False)
    kinds = {(f["properties"]["kind"], f["geometry"]["type"]) for f in found["features"]}
    assert kinds <= {("outline", "LineString"), ("outline", "MultiLineString"), ("name", "Point")}
    named = {
        f["properties"]["name"]: f["geometry"]["coordinates"]
        for f in found["features"]
        if f["properties"]["kind"] == "name"
    }
    assert {"Switzerland", "France", "Italy"} <= set(named)
    assert 6 < named["Switzerland"][0] < 10.5
