"""The blocks that hold cells of a region."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.crs import CRS

from s2s_map.tiling.blocks import Block
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.needed import needed_blocks
from s2s_map.tiling.region import Region, region_mask

CRS_M = CRS("EPSG:6933")


def of(polygon: shapely.Geometry) -> Region:
    return Region(polygon, polygon.bounds, CRS_M)


def test_without_a_polygon_every_block_is_needed() -> None:
    bounds = (0.0, 0.0, 1000.0, 700.0)
    grid = MapGrid.from_bounds(bounds, CRS_M, 100, 4)
    needed = needed_blocks(grid, Region(None, bounds, CRS_M))
    assert list(needed) == grid.blocks()
    assert len(needed) == len(grid.blocks())
    assert needed.cells == 70


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(-5000, 5000), st.floats(-5000, 5000), st.floats(5, 2500), st.integers(3, 9)
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 9),
)
def test_they_are_those_with_a_cell_in_the_region_in_order(
    blobs: list[tuple[float, float, float, int]], block_cells: int
) -> None:
    parts = [shapely.Point(x, y).buffer(r, quad_segs=q) for x, y, r, q in blobs]
    region = of(shapely.unary_union(parts))
    grid = MapGrid.from_bounds(region.bounds, CRS_M, 130, block_cells)
    masks = {b: int(region_mask(region, grid, b).sum()) for b in grid.iter_blocks()}
    needed = needed_blocks(grid, region)
    assert [(c.block, c.cells) for c in needed.counted()] == [(b, n) for b, n in masks.items() if n]
    assert list(needed) == [b for b, n in masks.items() if n]
    assert len(needed) == len(list(needed)) >= 1
    assert needed.cells == sum(masks.values())


def test_a_region_with_a_hole_leaves_the_blocks_in_it_out() -> None:
    ring = shapely.box(0, 0, 9000, 9000).difference(shapely.box(2000, 2000, 7000, 7000))
    grid = MapGrid.from_bounds(ring.bounds, CRS_M, 100, 10)
    keys = {block.key for block in needed_blocks(grid, of(ring))}
    assert len(keys) == 81 - 25
    assert "r004-c004" not in keys


def test_two_far_islands_take_no_longer_than_their_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    # A million blocks lie between them.
    looked_at, real = [], MapGrid.block

    def block(grid: MapGrid, row: int, col: int) -> Block:
        looked_at.append((row, col))
        return real(grid, row, col)

    monkeypatch.setattr(MapGrid, "block", block)
    islands = shapely.MultiPolygon(
        [shapely.box(0, 0, 900, 900), shapely.box(9e6, 9e6, 9e6 + 900, 9e6 + 900)]
    )
    grid = MapGrid.from_bounds(islands.bounds, CRS_M, 100, 90)
    assert np.prod(grid.block_shape) > 1_000_000
    assert [b.bounds[0] for b in needed_blocks(grid, of(islands))] == pytest.approx([9e6, 0.0])
    assert len(looked_at) < 500
