"""A block: one unit of work, one shard of the embeddings store."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """A rectangle of cells of a `MapGrid`.

    Attributes:
        row: Row of the block among blocks, counted from the north.
        col: Column of the block among blocks, counted from the west.
        y: Rows of the block's cells in the grid's arrays.
        x: Columns of the block's cells in the grid's arrays.
        bounds: (minx, miny, maxx, maxy) in metres of the grid's CRS, the outer edges of its cells.
    """

    row: int
    col: int
    y: slice
    x: slice
    bounds: tuple[float, float, float, float]

    @property
    def key(self) -> str:
        """Name of the block within its grid, fit for a file name, such as ``r003-c012``."""
        return f"r{self.row:03d}-c{self.col:03d}"

    @property
    def shape(self) -> tuple[int, int]:
        """Cells of the block, rows and columns."""
        return self.y.stop - self.y.start, self.x.stop - self.x.start

    @property
    def cells(self) -> int:
        """Number of cells."""
        rows, cols = self.shape
        return rows * cols

    @property
    def cell_m(self) -> float:
        """Side of a cell in metres."""
        return (self.bounds[2] - self.bounds[0]) / self.shape[1]
