"""Which cells lie in the region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from s2s_map.regions.region import Region
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.grid import MapGrid

__all__ = ["Inside", "Region", "centres_inside", "is_few_cells", "region_mask"]

# Side in cells of the squares that are decided as a whole where they can be.
_SQUARE = 8
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
    x, y, half = grid.x[block.x], grid.y[block.y], grid.cell_m / 2
    mask = centres_inside(region, x, y).mask
    if is_few_cells(region, grid):
        point = region.polygon.representative_point()
        mask |= (np.abs(x - point.x) <= half) & (np.abs(y - point.y) <= half)[:, None]
    return mask


@dataclass(frozen=True, eq=False)
class Inside:
    """Which centres lie in a region, and what it took to find out.

    Attributes:
        mask: Shape (ny, nx).
        points: Centres that were compared with the polygon.
    """

    mask: NDArray[np.bool_]
    points: int


def centres_inside(region: Region, x: NDArray[np.float64], y: NDArray[np.float64]) -> Inside:
    """Find which centres of cells lie in the polygon of a region, as if each were compared with it.

    All centres of a square that no edge comes near are on the same side of it, so one is compared
    for all: of a country's border blocks, a tenth is left.

    Args:
        region: A region with a polygon.
        x: Centres of the columns, in order.
        y: Centres of the rows, in order.
    """
    top, left = (np.arange(0, len(values), _SQUARE) for values in (y, x))
    bottom, right = (
        np.minimum(first + _SQUARE, len(values)) - 1 for first, values in ((top, y), (left, x))
    )
    shape = (len(top), len(left))
    corners = np.broadcast_arrays(x[left], y[top][:, None], x[right], y[bottom][:, None])
    west, north, east, south = corners
    boxes = shapely.box(west, south, east, north)
    shapely.prepare(region.polygon)
    sides = shapely.contains_xy(region.polygon, west, north)
    crossed = np.zeros(shape, dtype=np.bool_)
    crossed.flat[region.edges.query(boxes.ravel())[0]] = True

    def cells(squares: NDArray[np.bool_]) -> NDArray[np.bool_]:
        rows = squares.repeat(_SQUARE, axis=0)[: len(y)]
        return rows.repeat(_SQUARE, axis=1)[:, : len(x)]

    mask = cells(sides)
    rows, cols = np.nonzero(cells(crossed))
    mask[rows, cols] = shapely.contains_xy(region.polygon, x[cols], y[rows])
    return Inside(mask, sides.size + len(rows))


def is_few_cells(region: Region, grid: MapGrid) -> bool:
    """Return whether a region is so small that it may hold no cell centre."""
    return region.polygon is not None and region.polygon.area < _FEW_CELLS * grid.cell_m**2
