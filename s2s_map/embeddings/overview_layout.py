"""Which overviews a store gets: their factors, shapes and shards.

Each level has a quarter of the cells of the one below. Its lattice begins where that of the grid
does, so that the cells of a block are never parted as long as the block's side can be halved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from affine import Affine
from odc.geo.geobox import GeoBox

from s2s_map.tiling.blocks import Block
from s2s_map.tiling.grid import MapGrid

LEAST_SHARD = 32
"""Cells per side of a shard at least: smaller ones make reading a screen slow, and many files."""

_CHUNK = 64
_MOST_SHARD = 256


@dataclass(frozen=True)
class LevelLayout:
    """Where the cells of a level lie.

    Attributes:
        factor: Finest cells per side of a cell: 2, 4, 8, ...
        shape: Cells of the level, rows and columns.
        shard_cells: Side of a shard, cells of the level.
        with_blocks: Whether a shard is one block, written together with it.
    """

    factor: int
    shape: tuple[int, int]
    shard_cells: int
    with_blocks: bool

    @property
    def shards(self) -> tuple[int, int]:
        """Rows and columns of shards."""
        rows, cols = (-(-cells // self.shard_cells) for cells in self.shape)
        return rows, cols

    def window(self, row: int, col: int) -> tuple[slice, slice]:
        """Return the rows and columns of a shard's cells."""
        side, (ny, nx) = self.shard_cells, self.shape
        return (
            slice(row * side, min((row + 1) * side, ny)),
            slice(col * side, min((col + 1) * side, nx)),
        )


def plan_levels(grid: MapGrid, most_cells: int) -> tuple[LevelLayout, ...]:
    """Return the levels above a grid, finest first.

    Args:
        grid: Cells and blocks.
        most_cells: The whole map is to fit within so many cells a side; 0: no level.

    Examples:
        >>> bounds = (0, 0, 100_000, 60_000)
        >>> grid = MapGrid.from_bounds(bounds, "EPSG:32721", 100, 128)
        >>> [(level.factor, level.shape) for level in plan_levels(grid, 256)]
        [(2, (300, 500)), (4, (150, 250))]
    """
    factor, levels = 1, []
    while most_cells and max(level_shape(grid, factor)) > most_cells:
        factor *= 2
        levels.append(level_layout(grid, factor))
    return tuple(levels)


def level_layout(grid: MapGrid, factor: int) -> LevelLayout:
    """Return where the cells of the level of a factor lie."""
    block = grid.block_cells
    with_blocks = block % factor == 0 and block // factor >= LEAST_SHARD
    # No larger than a block where that is possible, since a shard is held in memory.
    free = max(_CHUNK, min(_MOST_SHARD, block - block % _CHUNK))
    shard = block // factor if with_blocks else free
    return LevelLayout(factor, level_shape(grid, factor), shard, with_blocks)


def level_shape(grid: MapGrid, factor: int) -> tuple[int, int]:
    """Return the rows and columns of a level; those at the south and east edges may be partial."""
    ny, nx = grid.shape
    return -(-ny // factor), -(-nx // factor)


def level_geobox(grid: MapGrid, factor: int) -> GeoBox:
    """Return the grid of a level: that of the map, with cells that are larger by a factor."""
    return GeoBox(level_shape(grid, factor), grid.transform @ Affine.scale(factor), grid.crs)


def most_cells_of_levels(grid: MapGrid, blocks: Iterable[Block], most_cells: int) -> int:
    """Return how many cells all levels have at most, if only some blocks hold data.

    Args:
        grid: Cells and blocks.
        blocks: The blocks that hold data.
        most_cells: See `plan_levels`.
    """
    levels = plan_levels(grid, most_cells)
    cells = [0] * len(levels)
    for ny, nx in (block.shape for block in blocks) if levels else ():
        for n, level in enumerate(levels):
            cells[n] += -(-ny // level.factor) * -(-nx // level.factor)
    return sum(min(n, math.prod(one.shape)) for n, one in zip(cells, levels, strict=True))
