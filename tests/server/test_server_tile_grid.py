"""Which cells a tile shows."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from s2s_map.server.tile_grid import TILE_PX, Tile, fitting, window_of

UTM = GeoBox((300, 400), Affine(160, 0, 720_000, 0, -160, -2_770_000), "EPSG:32621")


@given(st.integers(7, 14), st.integers(0, 511), st.integers(0, 511), st.data())
def test_a_pixel_shows_the_cell_that_its_centre_lies_in(
    z: int, row: int, column: int, data: st.DataObject
) -> None:
    to_web = Transformer.from_crs(UTM.crs, "EPSG:3857", always_xy=True)
    x, y = to_web.transform(
        data.draw(st.floats(722_000, 780_000)), data.draw(st.floats(-2_816_000, -2_772_000))
    )
    side = 2 * 20_037_508.342789244 / 2**z
    tile = Tile(z, int((x + side * 2**z / 2) // side), int((side * 2**z / 2 - y) // side))
    window = window_of(tile, UTM)
    assert window is not None
    west, _, east, north = tile.bounds
    pixel = (east - west) / TILE_PX
    centre = (west + (column + 0.5) * pixel, north - (row + 0.5) * pixel)
    gx, gy = to_web.transform(*centre, direction="INVERSE")
    at = ((-2_770_000 - gy) / 160, (gx - 720_000) / 160)
    # A hundredth of a pixel is what the lattice may be off.
    near = 0.02 * tile.pixel_m / 160
    if any(abs(part - round(part)) < near for part in at):
        return
    inside = 0 <= at[0] < 300 and 0 <= at[1] < 400
    assert bool(window.inside[row, column]) == inside
    if inside:
        found = (
            window.rows.start + window.row_of[row, column],
            window.columns.start + window.column_of[row, column],
        )
        assert found == (int(at[0]), int(at[1]))


def test_a_tile_elsewhere_shows_nothing() -> None:
    assert window_of(Tile(9, 0, 0), UTM) is None


def test_from_afar_a_projection_without_an_answer_elsewhere_is_drawn_still() -> None:
    # UTM has none a quarter of the Earth away, which a tile of the half world shows.
    fiji = GeoBox((400, 400), Affine(1000, 0, 700_000, 0, -1000, 8_300_000), "EPSG:32701")
    window = window_of(Tile(2, 3, 2), fiji)
    assert window is None or window.inside.any()
    assert window_of(Tile(0, 0, 0), fiji) is not None


def test_drawn_is_nan_outside() -> None:
    window = window_of(Tile(8, 89, 146), UTM)
    assert window is not None
    height = window.rows.stop - window.rows.start
    drawn = window.drawn(
        np.ones((height, window.columns.stop - window.columns.start), dtype=np.float32)
    )
    assert np.array_equal(np.isfinite(drawn), window.inside)
    assert 0 < window.inside.mean() < 1


@pytest.mark.parametrize(
    ("pixel_m", "level"), [(1.0, 0), (80.0, 0), (81.0, 1), (160.0, 1), (700.0, 3), (9_000.0, 3)]
)
def test_the_level_whose_cells_are_two_pixels_wide(pixel_m: float, level: int) -> None:
    assert fitting([160, 320, 640, 1280], pixel_m, 2.0) == level


@pytest.mark.parametrize(
    ("tile", "there"),
    [
        (Tile(0, 0, 0), True),
        (Tile(3, 8, 0), False),
        (Tile(23, 0, 0), False),
        (Tile(2, 0, -1), False),
    ],
)
def test_tiles_that_there_are(tile: Tile, there: bool) -> None:
    assert tile.exists == there
