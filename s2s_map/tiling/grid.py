"""The output grid: square cells of whole metres whose edges are anchored to the CRS origin."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from s2s_map.errors import ConfigError, RegionError
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.crs import is_metric

# Bounds that miss a cell edge by less than this share of a cell are on it: float noise from
# reprojected bounds must not add a row of cells.
_ON_EDGE = 1e-6


@dataclass(frozen=True)
class MapGrid:
    """Cells of a region and their division into blocks.

    Two grids of one CRS and cell size share their lattice wherever they lie, so maps of
    neighbouring regions and repeated runs line up cell by cell.

    Attributes:
        geobox: Shape, transform and CRS (projected, metres); north up.
        cell_m: Side of a cell in whole metres.
        block_cells: Side of a block in cells; blocks at the south and east edges are smaller.

    Raises:
        ConfigError: For a cell or block size below 1.
        RegionError: For a geobox without a metric CRS or off the anchored lattice.
    """

    geobox: GeoBox
    cell_m: int
    block_cells: int

    def __post_init__(self) -> None:
        _check_sizes(self.cell_m, self.block_cells)
        if self.geobox.crs is None or not is_metric(self.geobox.crs):
            raise RegionError(
                f"a grid in {self.geobox.crs}",
                expected="a projected CRS in metres",
                remedy="name one with crs:, such as a UTM zone",
            )
        t = self.geobox.transform
        step = (t.a, t.b, t.d, t.e)
        if step != (self.cell_m, 0.0, 0.0, -self.cell_m) or t.c % self.cell_m or t.f % self.cell_m:
            raise RegionError(
                f"a grid with transform {tuple(t)[:6]}",
                expected=f"cells of {self.cell_m} m, north up, on multiples of {self.cell_m} m",
                remedy="make it with MapGrid.from_bounds",
            )

    @classmethod
    def from_bounds(
        cls,
        bounds: tuple[float, float, float, float],
        crs: CRS | str,
        cell_m: int,
        block_cells: int,
    ) -> MapGrid:
        """Return the smallest anchored grid that covers the bounds.

        Args:
            bounds: (minx, miny, maxx, maxy) in metres of `crs`.
            crs: Projected CRS in metres.
            cell_m: Side of a cell in whole metres.
            block_cells: Side of a block in cells.

        Raises:
            ConfigError: For a cell or block size below 1.
            RegionError: For empty or infinite bounds, or a CRS that is not in metres.
        """
        _check_sizes(cell_m, block_cells)
        minx, miny, maxx, maxy = bounds
        if not all(math.isfinite(b) for b in bounds) or minx > maxx or miny > maxy:
            raise RegionError(
                f"a region with bounds {tuple(bounds)}",
                expected="finite bounds (minx, miny, maxx, maxy)",
                remedy="check the region, or name a crs: that covers it",
            )
        left, right = _snap_outward(minx, maxx, cell_m)
        bottom, top = _snap_outward(miny, maxy, cell_m)
        transform = Affine(cell_m, 0.0, left * cell_m, 0.0, -cell_m, top * cell_m)
        geobox = GeoBox((top - bottom, right - left), transform, CRS(crs))
        return cls(geobox, cell_m, block_cells)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Cells of the grid, rows and columns."""
        return int(self.geobox.shape[0]), int(self.geobox.shape[1])

    @property
    def crs(self) -> CRS:
        """Projected CRS, in metres."""
        crs = self.geobox.crs
        if crs is None:  # pragma: no cover  (refused at construction)
            raise RegionError("a grid without CRS")
        return crs

    @cached_property
    def transform(self) -> Affine:
        """From (column, row) of cell corners to (x, y) in metres."""
        return self.geobox.transform

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(minx, miny, maxx, maxy) in metres, the outer edges of the cells."""
        return self._bounds(slice(0, self.shape[0]), slice(0, self.shape[1]))

    @property
    def x(self) -> NDArray[np.float64]:
        """The x of the cell centres in metres, ascending, shape (columns,)."""
        return np.asarray(self.transform.c + (np.arange(self.shape[1]) + 0.5) * self.cell_m)

    @property
    def y(self) -> NDArray[np.float64]:
        """The y of the cell centres in metres, descending, shape (rows,)."""
        return np.asarray(self.transform.f - (np.arange(self.shape[0]) + 0.5) * self.cell_m)

    @cached_property
    def block_shape(self) -> tuple[int, int]:
        """Number of blocks, rows and columns."""
        ny, nx = self.shape
        return math.ceil(ny / self.block_cells), math.ceil(nx / self.block_cells)

    def block(self, row: int, col: int) -> Block:
        """Return the block of a row and column of blocks.

        Raises:
            IndexError: For a block outside the grid.
        """
        rows, cols = self.block_shape
        if not (0 <= row < rows and 0 <= col < cols):
            raise IndexError(f"block ({row}, {col}) of a grid of {rows} x {cols} blocks")
        ny, nx = self.shape
        size = self.block_cells
        y = slice(row * size, min((row + 1) * size, ny))
        x = slice(col * size, min((col + 1) * size, nx))
        return Block(row, col, y, x, self._bounds(y, x))

    def blocks(self) -> list[Block]:
        """Return all blocks, row by row from the north-west."""
        return list(self.iter_blocks())

    def iter_blocks(self) -> Iterator[Block]:
        """Yield all blocks, row by row from the north-west."""
        rows, cols = self.block_shape
        for row in range(rows):
            for col in range(cols):
                yield self.block(row, col)

    def _bounds(self, y: slice, x: slice) -> tuple[float, float, float, float]:
        left, top = self.transform.c, self.transform.f
        return (
            left + x.start * self.cell_m,
            top - y.stop * self.cell_m,
            left + x.stop * self.cell_m,
            top - y.start * self.cell_m,
        )


def _snap_outward(low: float, high: float, cell_m: int) -> tuple[int, int]:
    first = math.floor(low / cell_m + _ON_EDGE)
    last = math.ceil(high / cell_m - _ON_EDGE)
    return first, max(last, first + 1)


def _check_sizes(cell_m: int, block_cells: int) -> None:
    if int(cell_m) != cell_m or cell_m < 1:
        raise ConfigError(f"cells of {cell_m} m", expected="whole metres, at least 1")
    if block_cells < 1:
        raise ConfigError(f"blocks of {block_cells} cells", expected="at least 1")
