"""Which cell each pixel of a web map's tile shows: Web Mercator tiles of 512 px over a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

TILE_PX = 512
DEEPEST = 22
_EARTH_M = 6_378_137.0
_HALF_M = math.pi * _EARTH_M
# Between two points of the lattice a projection is straight to a hundredth of a pixel.
_STEP_PX = 16


@dataclass(frozen=True)
class Tile:
    """A tile of the usual scheme, zoom level and column and row from the north-west.

    Attributes:
        z: Zoom level; at 0 one tile holds the world.
        x: Column.
        y: Row.
    """

    z: int
    x: int
    y: int

    @property
    def exists(self) -> bool:
        """Whether there is such a tile."""
        return 0 <= self.z <= DEEPEST and 0 <= self.x < 2**self.z and 0 <= self.y < 2**self.z

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in metres of Web Mercator."""
        side = 2 * _HALF_M / 2**self.z
        west, north = -_HALF_M + self.x * side, _HALF_M - self.y * side
        return west, north - side, west + side, north

    @property
    def pixel_m(self) -> float:
        """Side of a pixel on the ground at the tile's middle, metres."""
        _, south, _, north = self.bounds
        return (north - south) / TILE_PX / math.cosh((south + north) / 2 / _EARTH_M)


@dataclass(frozen=True, eq=False)
class Window:
    """The cells that a tile shows.

    Attributes:
        rows: Of the grid.
        columns: Of the grid.
        row_of: Row of each pixel within `rows`, (512, 512).
        column_of: Column of each pixel within `columns`.
        inside: Which pixels lie on the grid.
    """

    rows: slice
    columns: slice
    row_of: NDArray[np.intp]
    column_of: NDArray[np.intp]
    inside: NDArray[np.bool_]

    def drawn(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the tile (512, 512) of the window's cells, NaN where it shows none."""
        return np.where(self.inside, cells[self.row_of, self.column_of], np.float32(np.nan))


def window_of(tile: Tile, geobox: GeoBox) -> Window | None:
    """Return the cells of a grid that a tile shows, by their pixels' centres; None for none."""
    x, y = _projected(tile, geobox)
    t = geobox.transform
    column, row = (x - t.c) / t.a, (y - t.f) / t.e
    ny, nx = (int(n) for n in geobox.shape)
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    if not inside.any():
        return None
    columns, rows = np.where(inside, column, 0).astype(np.intp), np.where(inside, row, 0)
    rows = rows.astype(np.intp)
    left, right = int(columns[inside].min()), int(columns[inside].max()) + 1
    top, bottom = int(rows[inside].min()), int(rows[inside].max()) + 1
    return Window(
        slice(top, bottom),
        slice(left, right),
        np.where(inside, rows - top, 0),
        np.where(inside, columns - left, 0),
        inside,
    )


def fitting(cell_m: Sequence[float], pixel_m: float, least_px: float) -> int:
    """Return which level of an overview fits: its cells at least `least_px` pixels wide.

    Args:
        cell_m: Side of a cell of each level, the finest first.
        pixel_m: Side of a pixel on the ground.
        least_px: How many pixels wide a cell is drawn at least, where the levels allow it.
    """
    fits = [i for i, side in enumerate(cell_m) if side >= least_px * pixel_m]
    return fits[0] if fits else len(cell_m) - 1


def least_pixels(dim: int) -> float:
    """Return how many pixels wide a cell is drawn at least, so that a tile costs much the same.

    1 for embeddings of 256 numbers and fewer, 2 for 1,024.

    Args:
        dim: Numbers of an embedding.
    """
    return max(1.0, 2.0 * math.sqrt(dim / 1024))


def _projected(tile: Tile, geobox: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    west, south, east, north = tile.bounds
    at = np.linspace(0.0, 1.0, TILE_PX // _STEP_PX + 1)
    xs, ys = np.meshgrid(west + at * (east - west), north - at * (north - south))
    found = transformer(str(geobox.crs)).transform(xs, ys)
    if np.isfinite(found).all():
        between = _between()
        x, y = (between @ np.asarray(part) @ between.T for part in found)
        return x, y
    # One point without an answer would leave none to the whole tile: every pixel by itself.
    at = (np.arange(TILE_PX) + 0.5) / TILE_PX
    xs, ys = np.meshgrid(west + at * (east - west), north - at * (north - south))
    x, y = transformer(str(geobox.crs)).transform(xs, ys)
    return np.nan_to_num(x, nan=1e30, posinf=1e30), np.nan_to_num(y, nan=1e30, posinf=1e30)


@lru_cache(maxsize=1)
def _between() -> NDArray[np.float64]:
    """Weights of linear interpolation from the lattice to the pixels' centres, (512, 33)."""
    at = (np.arange(TILE_PX) + 0.5) / _STEP_PX
    first = np.floor(at).astype(np.intp)
    weights = np.zeros((TILE_PX, TILE_PX // _STEP_PX + 1))
    weights[np.arange(TILE_PX), first] = 1 - (at - first)
    weights[np.arange(TILE_PX), first + 1] = at - first
    return weights


@lru_cache(maxsize=64)
def transformer(crs: str, source: str = "EPSG:3857") -> Any:
    """Return the transformer into a CRS, x before y; threads may share it."""
    from pyproj import Transformer

    return Transformer.from_crs(source, crs, always_xy=True)
