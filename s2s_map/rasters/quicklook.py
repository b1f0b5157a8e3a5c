"""``imagery.tif``: the imagery on the grid of the maps, kept so that a preview can be redrawn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp

from s2s_map.arrays import ImageBlock
from s2s_map.errors import StoreError
from s2s_map.rasters.geotiff import CogMetadata, write_geotiff
from s2s_map.tiling.grid import MapGrid

MOST_CELLS = 2048
"""Rows and columns of the kept imagery at most: twice what a preview can show."""


def imagery_geobox(grid: MapGrid) -> GeoBox:
    """Return the grid on which imagery is kept: the cells, or squares of cells of larger maps.

    Its north-west corner is that of the grid; in the south and east it may reach beyond.
    """
    ny, nx = grid.shape
    side = -(-max(ny, nx) // MOST_CELLS)
    t = grid.transform
    transform = Affine(t.a * side, 0.0, t.c, 0.0, t.e * side, t.f)
    return GeoBox((-(-ny // side), -(-nx // side)), transform, grid.crs)


def write_imagery(
    path: str | os.PathLike[str],
    rgb: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    geobox: GeoBox,
    attributes: Mapping[str, str] | None = None,
) -> None:
    """Write imagery that was averaged onto the cells, as a COG with an internal mask.

    Args:
        path: File to make or replace, by custom ``imagery.tif``.
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
        with rasterio.open(path) as source:
            return ImageBlock(source.read((1, 2, 3)), source.dataset_mask().astype(np.bool_))
    except (rasterio.errors.RasterioError, TypeError, ValueError) as error:
        raise StoreError(
            f"cannot read the imagery kept at {path} ({error})",
            remedy="run again to make it",
        ) from error
