"""``imagery.tif``: the imagery on the grid of the maps, kept so that a preview can be redrawn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp

from s2s_map.arrays import ImageBlock
from s2s_map.errors import StoreError
from s2s_map.rasters.geotiff import CogMetadata, local_gdal, write_geotiff
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.region import Region

MOST_CELLS = 2048
"""Rows and columns of the kept imagery at most: twice what a preview can show."""


METERED_CELLS = 32
"""Rows and columns read at a time of imagery whose every piece is asked for at a server."""


def imagery_geobox(grid: MapGrid) -> GeoBox:
    """Return the grid on which imagery is kept: the cells, or squares of cells of larger maps.

    Its north-west corner is that of the grid; in the south and east it may reach beyond.
    """
    ny, nx = grid.shape
    side = -(-max(ny, nx) // MOST_CELLS)
    t = grid.transform
    transform = Affine(t.a * side, 0.0, t.c, 0.0, t.e * side, t.f)
    return GeoBox((-(-ny // side), -(-nx // side)), transform, grid.crs)


Square = tuple[slice, slice]
"""Rows and columns of `imagery_geobox`."""


def imagery_squares(grid: MapGrid, region: Region) -> list[Square]:
    """Return the small squares of `imagery_geobox` that touch the region.

    Of imagery whose every piece is asked for at a server no more is read.
    """
    geobox = imagery_geobox(grid)
    ny, nx = (int(n) for n in geobox.shape)
    squares = [
        (
            slice(top, min(top + METERED_CELLS, ny)),
            slice(left, min(left + METERED_CELLS, nx)),
        )
        for top in range(0, ny, METERED_CELLS)
        for left in range(0, nx, METERED_CELLS)
    ]
    if region.polygon is None:
        return squares
    shapely.prepare(region.polygon)
    boxes = shapely.box(*np.array([square_bounds(geobox, square) for square in squares]).T)
    touched = shapely.intersects(region.polygon, boxes)
    return [square for square, hit in zip(squares, touched, strict=True) if hit]


def square_bounds(geobox: GeoBox, square: Square) -> tuple[float, float, float, float]:
    """Return (minx, miny, maxx, maxy) of a square in metres."""
    rows, columns = square
    t = geobox.transform
    return (
        t.c + t.a * columns.start,
        t.f + t.e * rows.stop,
        t.c + t.a * columns.stop,
        t.f + t.e * rows.start,
    )


def imagery_reads(
    grid: MapGrid, region: Region
) -> list[tuple[tuple[float, float, float, float], tuple[int, int]]]:
    """Return bounds and shape of what is read of metered imagery, for the plan."""
    geobox = imagery_geobox(grid)
    return [
        (
            square_bounds(geobox, (rows, columns)),
            (rows.stop - rows.start, columns.stop - columns.start),
        )
        for rows, columns in imagery_squares(grid, region)
    ]


def write_imagery(
    path: str | os.PathLike[str],
    rgb: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    geobox: GeoBox,
    attributes: Mapping[str, str] | None = None,
) -> None:
    """Write imagery that was averaged onto the cells, as a COG with an internal mask.

    Args:
        path: File to make or replace, usually ``imagery.tif``.
        rgb: Red, green, blue, shape (3, y, x).
        valid: Cells with imagery, shape (y, x).
        geobox: Shape, transform and CRS.
        attributes: Tags, such as attribution and licence.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
        TypeError, ValueError: For arrays of another type or shape.
    """
    image = ImageBlock(rgb, valid)
    metadata = CogMetadata(
        descriptions=("red", "green", "blue"),
        tags={key.upper(): str(value) for key, value in (attributes or {}).items()},
        color=(ColorInterp.red, ColorInterp.green, ColorInterp.blue),
    )
    pixels = np.where(image.valid, image.pixels, np.uint8(0))
    write_geotiff(Path(path), pixels, geobox, metadata, mask=image.valid)


def read_imagery(path: str | os.PathLike[str]) -> ImageBlock:
    """Return imagery that `write_imagery` wrote.

    Raises:
        StoreError: For a missing or damaged file.
    """
    try:
        with local_gdal(), rasterio.open(path) as source:
            return ImageBlock(source.read((1, 2, 3)), source.dataset_mask().astype(np.bool_))
    except (rasterio.errors.RasterioError, TypeError, ValueError) as error:
        raise StoreError(
            f"cannot read the imagery kept at {path} ({error})",
            remedy="run again to make it",
        ) from error
