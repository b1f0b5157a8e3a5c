"""The output grid: anchored, partitioned by its blocks, wherever it lies."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from s2s_map.errors import ConfigError, RegionError
from s2s_map.tiling.grid import MapGrid

CRS = "EPSG:32621"

coordinates = st.floats(-500_000.0, 9_000_000.0)
sizes = st.floats(1.0, 30_000.0)
cell_sizes = st.sampled_from([1, 7, 160, 180, 640])
block_sizes = st.integers(1, 40)


@st.composite
def grids(draw: st.DrawFn) -> MapGrid:
    cell = draw(cell_sizes)
    minx, miny = draw(coordinates), draw(coordinates)
    width, height = (draw(st.floats(0.1, 60.0)) * cell for _ in range(2))
    return MapGrid.from_bounds(
        (minx, miny, minx + width, miny + height), CRS, cell, draw(block_sizes)
    )


@given(grids())
def test_blocks_partition_the_grid(grid: MapGrid) -> None:
    seen = np.zeros(grid.shape, dtype=int)
    for block in grid.blocks():
        seen[block.y, block.x] += 1
        assert block.shape == seen[block.y, block.x].shape
    assert (seen == 1).all()


@given(grids(), st.randoms())
def test_any_order_of_blocks_gives_the_same_array(grid: MapGrid, random: object) -> None:
    def fill(blocks: list) -> np.ndarray:
        array = np.full((*grid.shape, 2), np.nan)
        for block in blocks:
            y, x = grid.y[block.y], grid.x[block.x]
            array[block.y, block.x] = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)
        return array

    shuffled = grid.blocks()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(fill(grid.blocks()), fill(shuffled))


@given(coordinates, coordinates, sizes, sizes, cell_sizes)
def test_cells_lie_on_the_anchored_lattice_and_cover_the_bounds(
    minx: float, miny: float, width: float, height: float, cell: int
) -> None:
    bounds = (minx, miny, minx + width, miny + height)
    grid = MapGrid.from_bounds(bounds, CRS, cell, 16)
    assert all(edge % cell == 0 for edge in grid.bounds)
    slack = 1e-6 * cell + 1e-6
    assert grid.bounds[0] <= bounds[0] + slack
    assert grid.bounds[1] <= bounds[1] + slack
    assert grid.bounds[2] >= bounds[2] - slack
    assert grid.bounds[3] >= bounds[3] - slack
    assert grid.bounds[0] > bounds[0] - cell - slack
    assert grid.bounds[2] < bounds[2] + cell + slack


@given(grids(), st.floats(-5000.0, 5000.0), st.floats(-5000.0, 5000.0))
def test_moving_a_region_does_not_move_the_lattice(grid: MapGrid, dx: float, dy: float) -> None:
    minx, miny, maxx, maxy = grid.bounds
    moved = MapGrid.from_bounds(
        (minx + dx, miny + dy, maxx + dx, maxy + dy), CRS, grid.cell_m, grid.block_cells
    )
    for old, new in ((grid.x, moved.x), (grid.y, moved.y)):
        assert (new[0] - old[0]) % grid.cell_m == 0


@given(grids(), st.data())
def test_splitting_a_region_gives_the_same_cells(grid: MapGrid, data: st.DataObject) -> None:
    minx, miny, maxx, maxy = grid.bounds
    cut = minx + data.draw(st.integers(0, grid.shape[1])) * grid.cell_m
    parts = [
        MapGrid.from_bounds((low, miny, high, maxy), CRS, grid.cell_m, grid.block_cells)
        for low, high in ((minx, cut), (cut, maxx))
        if high > low
    ]
    np.testing.assert_array_equal(np.concatenate([part.x for part in parts]), grid.x)
    for part in parts:
        np.testing.assert_array_equal(part.y, grid.y)


def test_cells_left_and_below_the_origin_are_floored_not_truncated() -> None:
    grid = MapGrid.from_bounds((-1.0, -1.0, 1.0, 1.0), CRS, 160, 8)
    assert grid.bounds == (-160.0, -160.0, 160.0, 160.0)
    np.testing.assert_array_equal(grid.x, [-80.0, 80.0])
    np.testing.assert_array_equal(grid.y, [80.0, -80.0])


def test_bounds_on_the_lattice_add_no_cell() -> None:
    bounds = (320.0 + 1e-9, 0.0 - 1e-9, 640.0 + 1e-9, 160.0)
    assert MapGrid.from_bounds(bounds, CRS, 160, 8).shape == (1, 2)


def test_a_region_smaller_than_a_cell_has_one() -> None:
    assert MapGrid.from_bounds((170.0, 170.0, 170.0, 170.0), CRS, 160, 8).shape == (1, 1)


def test_blocks_have_keys_and_bounds() -> None:
    grid = MapGrid.from_bounds((0.0, 0.0, 1600.0, 800.0), CRS, 160, 4)
    assert grid.block_shape == (2, 3)
    block = grid.block(1, 2)
    assert block.key == "r001-c002"
    assert block.bounds == (1280.0, 0.0, 1600.0, 160.0)
    assert (block.y, block.x, block.shape) == (slice(4, 5), slice(8, 10), (1, 2))
    assert (block.cell_m, block.cells) == (160.0, 2)
    with pytest.raises(IndexError, match="2 x 3 blocks"):
        grid.block(2, 0)


def test_a_grid_needs_metres_and_the_lattice() -> None:
    with pytest.raises(RegionError, match="projected CRS in metres"):
        MapGrid.from_bounds((-54.0, -25.0, -53.0, -24.0), "EPSG:4326", 1, 8)
    with pytest.raises(RegionError, match="projected CRS in metres"):
        MapGrid.from_bounds((0.0, 0.0, 10.0, 10.0), "EPSG:2263", 1, 8)  # feet
    with pytest.raises(RegionError, match="on multiples of 160 m"):
        MapGrid(GeoBox((2, 2), Affine(160, 0, 10, 0, -160, 0), CRS), 160, 8)
    with pytest.raises(RegionError, match="finite bounds"):
        MapGrid.from_bounds((0.0, 0.0, np.inf, 10.0), CRS, 160, 8)


def test_sizes_are_whole_and_positive() -> None:
    for cell, block in ((0, 8), (160.5, 8), (160, 0)):
        with pytest.raises(ConfigError, match="at least 1"):
            MapGrid.from_bounds((0.0, 0.0, 10.0, 10.0), CRS, cell, block)  # type: ignore[arg-type]
