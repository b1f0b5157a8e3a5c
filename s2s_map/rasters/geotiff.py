"""Cloud-Optimized GeoTIFFs written through GDAL's own driver."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile

from s2s_map.embeddings.replacing import replacing_file
from s2s_map.tiling.grid import MapGrid

BLOCK_PX = 512
"""Side of the tiles that a COG is read by."""

_SMALLEST_OVERVIEW_PX = 256


@dataclass(frozen=True)
class CogMetadata:
    """What a COG says about itself.

    Attributes:
        descriptions: One per band.
        tags: Tags of the file.
        band_tags: Tags per band, such as statistics.
        color: Meaning of the bands, if they have one.
    """

    descriptions: Sequence[str]
    tags: Mapping[str, str] = field(default_factory=dict)
    band_tags: Sequence[Mapping[str, str]] = ()
    color: Sequence[ColorInterp] = ()


def write_geotiff(
    path: Path,
    bands: NDArray[Any],
    grid: MapGrid,
    metadata: CogMetadata,
    mask: NDArray[np.bool_] | None = None,
) -> None:
    """Write bands as a COG with average overviews; it appears at `path` complete or not at all.

    It is made in memory, where it takes at most twice the size of the bands.

    Args:
        path: File to make or replace.
        bands: Shape (bands, y, x); floats take NaN for no data.
        grid: The cells.
        metadata: Descriptions and tags.
        mask: Valid cells, shape (y, x), kept as an internal mask, for integers.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
        ValueError: For bands that do not fit the grid.
    """
    if bands.shape[1:] != grid.shape:
        raise ValueError(f"bands of shape {bands.shape} on a grid of {grid.shape}")
    floating = bands.dtype.kind == "f"
    profile = {
        "driver": "GTiff",
        "count": len(bands),
        "dtype": bands.dtype.name,
        "height": grid.shape[0],
        "width": grid.shape[1],
        "crs": rasterio.crs.CRS.from_wkt(grid.crs.to_wkt()),
        "transform": grid.transform,
        "nodata": math.nan if floating else None,
    }
    options = {
        "BLOCKSIZE": str(BLOCK_PX),
        "COMPRESS": "DEFLATE",
        "PREDICTOR": "YES",
        "RESAMPLING": "AVERAGE",
        "OVERVIEWS": "IGNORE_EXISTING",
        "OVERVIEW_COUNT": str(overview_count(grid.shape)),
        "BIGTIFF": "IF_SAFER",
        "STATISTICS": "AUTO",
    }
    with MemoryFile() as memory, MemoryFile(ext=".tif") as cog:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), memory.open(**profile) as source:
            source.write(bands)
            if mask is not None:
                source.write_mask(mask)
            _describe(source, metadata)
        with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"), memory.open() as source:
            rasterio.shutil.copy(source, cog.name, driver="COG", **options)
        # Not written by GDAL itself: on a disk that fills up it can leave a truncated file
        # without saying so.
        with replacing_file(path) as partial:
            partial.write_bytes(cog.getbuffer())


def overview_count(shape: tuple[int, int]) -> int:
    """Return how many times a raster of this shape is halved for its overviews.

    Down to 256 px, below the tile size of 512 px: a map of a city has an overview too.
    """
    count, size = 0, max(shape)
    while size > _SMALLEST_OVERVIEW_PX:
        count, size = count + 1, math.ceil(size / 2)
    return count


def statistics_tags(values: NDArray[np.floating[Any]]) -> dict[str, str]:
    """Return GDAL's statistics of all valid cells at full resolution; none if none is valid."""
    valid = values[np.isfinite(values)].astype(np.float64)
    if valid.size == 0:
        return {"STATISTICS_VALID_PERCENT": "0"}
    return {
        "STATISTICS_MINIMUM": f"{valid.min():.17g}",
        "STATISTICS_MAXIMUM": f"{valid.max():.17g}",
        "STATISTICS_MEAN": f"{valid.mean():.17g}",
        "STATISTICS_STDDEV": f"{valid.std():.17g}",
        "STATISTICS_VALID_PERCENT": f"{100.0 * valid.size / values.size:.4g}",
    }


def _describe(source: Any, metadata: CogMetadata) -> None:
    for index, text in enumerate(metadata.descriptions, start=1):
        source.set_band_description(index, text)
    source.update_tags(**metadata.tags)
    for index, tags in enumerate(metadata.band_tags, start=1):
        source.update_tags(index, **tags)
    if metadata.color:
        source.colorinterp = tuple(metadata.color)
