"""Which blocks of a grid hold cells of the region, found without visiting those that do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from s2s_map.tiling.blocks import Block
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.region import Region, is_few_cells, region_mask

# A piece that fills its rectangle but for less than this share of a cell holds every centre.
_NO_AREA = 1e-3


@dataclass(frozen=True, eq=False)
class CountedBlock:
    """A needed block and its cells in the region, at least 1.

    Attributes:
        block: The block.
        inside: Which of its cells are in the region, shape (ny, nx); None: all.
    """

    block: Block
    inside: NDArray[np.bool_] | None = None

    @property
    def cells(self) -> int:
        """How many of its cells are in the region."""
        return self.block.cells if self.inside is None else int(self.inside.sum())


class NeededBlocks:
    """The blocks with at least one cell in the region, row by row from the north-west.

    Iterating is lazy and gives the same blocks in the same order every time; nothing is kept but
    the counts. The region is clipped to halves of halves of the grid, so that blocks far from it
    cost nothing and a block near it only looks at the edges that cross it.

    Args:
        grid: The output grid.
        region: The area of interest, in the grid's CRS.
    """

    def __init__(self, grid: MapGrid, region: Region) -> None:
        self._grid, self._region = grid, region

    def __iter__(self) -> Iterator[Block]:
        """Yield the needed blocks."""
        if self._region.polygon is None:
            yield from self._grid.iter_blocks()
            return
        for counted in self.counted():
            yield counted.block

    def __len__(self) -> int:
        """Return the number of needed blocks; the first call walks through them."""
        return self._totals[0]

    @property
    def cells(self) -> int:
        """Number of cells in the region; the first call walks through the blocks."""
        return self._totals[1]

    def counted(self) -> Iterator[CountedBlock]:
        """Yield the needed blocks with their cells in the region."""
        polygon = self._region.polygon
        if polygon is None:
            yield from map(CountedBlock, self._grid.iter_blocks())
            return
        if is_few_cells(self._region, self._grid):
            for block in self._grid.iter_blocks():
                yield from self._masked(block)
            return
        rows, cols = self._grid.block_shape
        yield from self._walk(polygon, (0, rows), (0, cols))

    def _walk(
        self, piece: BaseGeometry, rows: tuple[int, int], cols: tuple[int, int]
    ) -> Iterator[CountedBlock]:
        """Halve the rows down to one, then the columns: the blocks come row by row."""
        axis = rows if rows[1] - rows[0] > 1 else cols
        if axis is cols and self._fills(piece, rows, cols):
            # Well within a country a row of blocks is done at once.
            for col in range(*cols):
                yield CountedBlock(self._grid.block(rows[0], col))
            return
        if axis[1] - axis[0] == 1:
            yield from self._masked(self._grid.block(rows[0], cols[0]))
            return
        middle = (axis[0] + axis[1]) // 2
        for half in ((axis[0], middle), (middle, axis[1])):
            there = (half, cols) if axis is rows else (rows, half)
            clipped = shapely.clip_by_rect(piece, *self._bounds(*there))
            if not clipped.is_empty:
                yield from self._walk(clipped, *there)

    def _fills(self, piece: BaseGeometry, rows: tuple[int, int], cols: tuple[int, int]) -> bool:
        west, south, east, north = self._bounds(rows, cols)
        whole = (east - west) * (north - south)
        return bool(whole - piece.area < _NO_AREA * self._grid.cell_m**2)

    def _masked(self, block: Block) -> Iterator[CountedBlock]:
        inside = region_mask(self._region, self._grid, block)
        if inside.any():
            yield CountedBlock(block, None if inside.all() else inside)

    def _bounds(
        self, rows: tuple[int, int], cols: tuple[int, int]
    ) -> tuple[float, float, float, float]:
        first = self._grid.block(rows[0], cols[0]).bounds
        last = self._grid.block(rows[1] - 1, cols[1] - 1).bounds
        return first[0], last[1], last[2], first[3]

    @cached_property
    def _totals(self) -> tuple[int, int]:
        if self._region.polygon is None:
            rows, cols = self._grid.block_shape
            ny, nx = self._grid.shape
            return rows * cols, ny * nx
        blocks = cells = 0
        for counted in self.counted():
            blocks, cells = blocks + 1, cells + counted.cells
        return blocks, cells


def needed_blocks(grid: MapGrid, region: Region) -> NeededBlocks:
    """Return the blocks of a grid with at least one cell in the region, lazily and in order.

    `len()` of it is their number.

    Args:
        grid: The output grid.
        region: The area of interest, in the grid's CRS.
    """
    return NeededBlocks(grid, region)
