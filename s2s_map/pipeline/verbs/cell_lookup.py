"""The cell at a place of a finished run, or how far the nearest one with data is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import RegionError
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.grid import MapGrid

_BLOCKS_SEARCHED = 9


@dataclass(frozen=True, eq=False)
class Cell:
    """A cell of a map.

    Attributes:
        row: Row in the grid.
        column: Column in the grid.
        x: x of the place that was asked for, metres of the grid's CRS.
        y: y of it.
        values: Embedding per time slot, (time, dim).
    """

    row: int
    column: int
    x: float
    y: float
    values: NDArray[np.float32]


def cell_at(store: EmbeddingsStore, lon: float, lat: float) -> Cell:
    """Return the cell around a place.

    Args:
        store: The embeddings.
        lon: Degrees east, WGS 84.
        lat: Degrees north.

    Raises:
        RegionError: For a place outside the map or on a cell without data; it names the nearest
            cell with data.
    """
    grid = store.grid
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise RegionError(
            f"the place {lon:g} {lat:g}",
            expected="longitude -180 to 180, then latitude -90 to 90",
        )
    to_grid = Transformer.from_crs("EPSG:4326", grid.crs.to_wkt(), always_xy=True)
    x, y = to_grid.transform(lon, lat)
    west, south, east, north = grid.bounds
    inside = west <= x < east and south < y <= north
    if inside:
        row, column = int((north - y) // grid.cell_m), int((x - west) // grid.cell_m)
        block = grid.block(row // grid.block_cells, column // grid.block_cells)
        values = store.read_block(block)[:, row - block.y.start, column - block.x.start]
        if np.isfinite(values).all():
            return Cell(row, column, x, y, values)
    found = f"the place {lon:g} {lat:g}, " + (
        "where the map has no data" if inside else "which is outside the map"
    )
    nearest = _nearest(store, x, y) if np.isfinite([x, y]).all() else None
    if nearest is None:
        raise RegionError(found, remedy="choose a place where the map has data")
    back_lon, back_lat = to_grid.transform(*nearest, direction="INVERSE")
    away = float(np.hypot(nearest[0] - x, nearest[1] - y))
    raise RegionError(
        found,
        remedy=f"the nearest cell with data is at {back_lon:.4f} {back_lat:.4f}, "
        f"{away / 1000:.3g} km away",
    )


def _nearest(store: EmbeddingsStore, x: float, y: float) -> tuple[float, float] | None:
    """Return the centre of the nearest cell with data, searched in the nearest blocks."""
    grid = store.grid
    best: tuple[float, float, float] | None = None
    blocks = sorted(grid.iter_blocks(), key=lambda block: _distance(block, x, y))
    for block in blocks[:_BLOCKS_SEARCHED]:
        if best is not None and best[0] <= _distance(block, x, y):
            break
        seen = np.isfinite(store.read_block(block)[0, ..., 0])
        if seen.any():
            best = min(filter(None, (best, _closest(grid, block, seen, x, y))))
    return None if best is None else best[1:]


def _closest(
    grid: MapGrid, block: Block, seen: NDArray[np.bool_], x: float, y: float
) -> tuple[float, float, float]:
    rows, cols = np.nonzero(seen)
    xs, ys = grid.x[block.x][cols], grid.y[block.y][rows]
    away = np.hypot(xs - x, ys - y)
    i = int(away.argmin())
    return float(away[i]), float(xs[i]), float(ys[i])


def _distance(block: Block, x: float, y: float) -> float:
    west, south, east, north = block.bounds
    return float(np.hypot(max(west - x, 0.0, x - east), max(south - y, 0.0, y - north)))
