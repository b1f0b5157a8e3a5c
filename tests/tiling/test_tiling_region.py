"""Which cells lie in the region."""

from __future__ import annotations

import pickle

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.crs import CRS

from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.region import Region, centres_inside, region_mask

UTM = CRS("EPSG:32621")


def region(polygon: shapely.Polygon | None, bounds: tuple[float, float, float, float]) -> Region:
    return Region(polygon, bounds, UTM)


def test_without_a_polygon_all_cells_are_in() -> None:
    bounds = (-500.0, 0.0, 500.0, 900.0)
    grid = MapGrid.from_bounds(bounds, UTM, 100, 4)
    assert all(region_mask(region(None, bounds), grid, b).all() for b in grid.blocks())


def test_cells_with_their_centre_inside_are_in() -> None:
    triangle = shapely.Polygon([(0, 0), (1000, 0), (0, 1000)])
    grid = MapGrid.from_bounds(triangle.bounds, UTM, 100, 3)
    mask = np.zeros(grid.shape, dtype=bool)
    for block in grid.blocks():
        mask[block.y, block.x] = region_mask(region(triangle, triangle.bounds), grid, block)
    x, y = np.meshgrid(grid.x, grid.y)
    np.testing.assert_array_equal(mask, x + y < 1000)
    assert 0 < mask.sum() < mask.size


def test_neighbouring_regions_share_no_cell() -> None:
    west, east = shapely.box(0, 0, 430, 800), shapely.box(430, 0, 800, 800)
    grid = MapGrid.from_bounds((0, 0, 800, 800), UTM, 100, 100)
    masks = [region_mask(region(p, p.bounds), grid, grid.block(0, 0)) for p in (west, east)]
    assert (masks[0] ^ masks[1]).all()


def test_an_island_smaller_than_a_cell_has_one() -> None:
    island = shapely.box(110, 110, 130, 130)
    grid = MapGrid.from_bounds(island.bounds, UTM, 100, 8)
    assert region_mask(region(island, island.bounds), grid, grid.block(0, 0)).tolist() == [[True]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 30), st.integers(1, 30)),
        min_size=1,
        max_size=5,
    ),
    st.floats(0, 1),
    st.integers(1, 41),
)
def test_squares_change_no_cell(
    boxes: list[tuple[int, int, int, int]], turn: float, columns: int
) -> None:
    """Holes, many parts, edges through centres and along squares, and turned ones."""
    whole = shapely.unary_union([shapely.box(x, y, x + w, y + h) for x, y, w, h in boxes])
    holed = whole.difference(shapely.box(20.5, 20.5, 31.0, 29.0))
    polygon = shapely.affinity.rotate(holed, turn if turn > 0.5 else 0.0)
    x, y = np.arange(columns) + 0.5, 63.5 - np.arange(64)
    found = centres_inside(region(polygon, polygon.bounds), x, y)
    np.testing.assert_array_equal(found.mask, shapely.contains_xy(polygon, *np.meshgrid(x, y)))


def test_of_a_border_few_centres_are_compared() -> None:
    coast = shapely.Point(0, 0).buffer(100_000, quad_segs=4000)
    x = y = 60_000 + 100.0 * np.arange(256)
    found = centres_inside(region(coast, coast.bounds), x, y[::-1])
    assert 0 < found.mask.sum() < found.mask.size
    assert found.points < found.mask.size / 8


def test_a_region_travels_without_its_edges() -> None:
    here = region(shapely.box(0, 0, 900, 900), (0, 0, 900, 900))
    size = len(pickle.dumps(here))
    assert len(here.edges) == 4
    there = pickle.loads(pickle.dumps(here))  # noqa: S301
    assert there == here
    assert len(pickle.dumps(here)) == size
