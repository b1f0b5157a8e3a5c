"""The table of all countries: how each is mapped by its name, within the bounds that are said."""

from __future__ import annotations

import pytest
from fixtures_places import Row, rows, table

from s2s_map.regions.region_file import read_outline
from s2s_map.tiling.projections import FAR
from s2s_map.tiling.splitting import LAND, shown, split_region

# Too wide for any equal-area projection: what is possible is in the table, and the plan proposes
# two maps. Antarctica's islands reach 29 degrees from the pole.
BEYOND = {"Russia": 0.036, "Antarctica": 0.034}
FEW_KM2 = 100.0
# Numbers of the table have four digits; PROJ's versions differ by less.
TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def computed() -> list[Row]:
    return list(rows())


@pytest.mark.slow  # 255 outlines are read, parted and projected: 7 s of processor time
def test_every_country_is_as_the_table_says(computed: list[Row]) -> None:
    kept = table()
    assert len(computed) == len(kept) == 255
    for row in computed:
        fields = row.fields()
        old = kept[row.place.name]
        for column, value in fields.items():
            if column in ("distance_error", "land_share", "main_share", "worst_distance_error"):
                assert float(value) == pytest.approx(float(old[column]), abs=TOLERANCE)
            elif column not in ("least_land_share", "largest_scattered_km2"):
                assert value == old[column], (row.place.name, column)


@pytest.mark.slow  # as above
def test_every_country_is_shown_well_or_split(computed: list[Row]) -> None:
    for row in computed:
        name = row.place.name
        assert row.whole.distance_error <= BEYOND.get(name, FAR), name
        assert row.main_share > 0.3, name
        if row.whole.distance_error > FAR or row.whole.land_share < LAND:
            assert len(row.pieces) > 1, name
        for piece in row.pieces:
            assert piece.distance_error <= FAR, piece
            # A grid of a few hundred cells may hold an atoll and its lagoon.
            assert piece.land_share >= LAND or piece.area_km2 < FEW_KM2 * piece.land_share, piece
        # Together they are all of it; boxes of islands may hold one of another group too.
        area = sum(piece.area_km2 for piece in row.pieces)
        assert area == pytest.approx(row.whole.area_km2, rel=1e-3), name


@pytest.mark.parametrize("name", ["Russia", "Fiji", "Cabo Verde", "Western Sahara", "Vanuatu"])
def test_a_piece_is_the_region_that_it_names(name: str) -> None:
    """What is written in its `region:` gives the same CRS, error and share of land."""
    for piece in split_region(read_outline(name, ())):
        assert isinstance(piece.region, str)
        again = shown(read_outline(piece.region, ()))
        assert again.crs == piece.crs
        assert again.distance_error == pytest.approx(piece.distance_error, abs=1e-3)
        assert again.land_share >= 0.95 * piece.land_share
        assert again.area_km2 >= 0.999 * piece.area_km2


def test_a_box_is_split_into_boxes() -> None:
    pieces = split_region(read_outline([-120.0, -50.0, -20.0, 60.0], ()))
    assert len(pieces) > 1
    assert all(isinstance(piece.region, tuple) for piece in pieces)
    assert all(piece.is_shown_well for piece in pieces)
