"""Which cells lie in the region."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from s2s_map.catalog.region import Region
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.grid import MapGrid

__all__ = ["Region", "is_few_cells", "region_mask"]

# Regions of fewer cells than this may hold no cell centre: islands, city states.
_FEW_CELLS = 4


def region_mask(region: Region, grid: MapGrid, block: Block) -> NDArray[np.bool_]:
    """Return which cells of a block have their centre in the region.

    A region that is smaller than a few cells also gets the cell around its inner point, so that
    no region is without a cell.

    Args:
        region: The area of interest, in the grid's CRS.
        grid: The output grid.
        block: One of its blocks.

    Returns:
        Shape (ny, nx) of the block.
    """
    if region.polygon is None:
        return np.ones(block.shape, dtype=np.bool_)
    shapely.prepare(region.polygon)
    x, y = np.meshgrid(grid.x[block.x], grid.y[block.y])
    mask: NDArray[np.bool_] = np.asarray(shapely.contains_xy(region.polygon, x, y), dtype=np.bool_)
    if is_few_cells(region, grid):
        point = region.polygon.representative_point()
        mask |= (np.abs(x - point.x) <= grid.cell_m / 2) & (np.abs(y - point.y) <= grid.cell_m / 2)
    return mask


def is_few_cells(region: Region, grid: MapGrid) -> bool:
    """Return whether a region is so small that it may hold no cell centre."""
    return region.polygon is not None and region.polygon.area < _FEW_CELLS * grid.cell_m**2
