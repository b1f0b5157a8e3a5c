"""Which cells lie in the region."""

from __future__ import annotations

import numpy as np
import shapely
from odc.geo.crs import CRS

from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.region import Region, region_mask

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
