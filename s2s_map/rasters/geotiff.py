"""Cloud-Optimized GeoTIFFs written through GDAL's own driver, from arrays or from other rasters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rasterio.session import DummySession

from s2s_map.errors import OutputError
from s2s_map.outputs.atomic import replacing_file
from s2s_map.scoring.summary import BandStatistics

BLOCK_PX = 512
"""Side of the tiles that a COG is read by."""

_SMALLEST_OVERVIEW_PX = 256
# GDAL's block cache, in bytes, which else grows with the machine's memory.
_CACHE_BYTES = 64_000_000


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
    geobox: GeoBox,
    metadata: CogMetadata,
    mask: NDArray[np.bool_] | None = None,
) -> None:
    """Write bands as a COG with average overviews; it appears at `path` complete or not at all.

    Args:
        path: File to make or replace.
        bands: Shape (bands, y, x); floats take NaN for no data.
        geobox: Shape, transform and CRS.
        metadata: Descriptions and tags.
        mask: Valid cells, shape (y, x), kept as an internal mask, for integers.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
        ValueError: For bands that do not fit the geobox.
    """
    shape = _shape(geobox)
    if bands.shape[1:] != shape:
        raise ValueError(f"bands of shape {bands.shape} on a grid of {shape}")
    floating = bands.dtype.kind == "f"
    profile = {
        "driver": "GTiff",
        "count": len(bands),
        "dtype": bands.dtype.name,
        "height": shape[0],
        "width": shape[1],
        "crs": rasterio.crs.CRS.from_wkt(_wkt(geobox)),
        "transform": geobox.transform,
        "nodata": math.nan if floating else None,
    }
    with MemoryFile() as memory:
        with local_gdal(GDAL_TIFF_INTERNAL_MASK=True), memory.open(**profile) as source:
            source.write(bands)
            if mask is not None:
                source.write_mask(mask)
            _describe(source, metadata)
        _copy(memory.name, path, shape)


def convert_to_geotiff(
    path: Path, bands: Sequence[str], geobox: GeoBox, metadata: CogMetadata
) -> None:
    """Write single-band float32 rasters of one grid as the bands of a COG, as `write_geotiff`.

    They are read, and their overviews made, tile by tile: memory stays at a few hundred MiB
    whatever their size.

    Args:
        path: File to make or replace.
        bands: What GDAL calls each raster, such as ``ZARR:"maps.zarr":/probability:0:0``.
        geobox: Shape, transform and CRS of all.
        metadata: Descriptions and tags.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    _copy(_mosaic(bands, geobox, metadata), path, _shape(geobox))


def local_gdal(**options: Any) -> rasterio.Env:
    """Return a context with options of GDAL, for files of this machine.

    With keys of AWS in the environment rasterio else makes a session of boto3 each time.
    """
    return rasterio.Env(session=DummySession(), **options)


def overview_count(shape: tuple[int, int]) -> int:
    """Return how many times a raster of this shape is halved for its overviews.

    Down to 256 px, below the tile size of 512 px: a map of a city has an overview too.
    """
    count, size = 0, max(shape)
    while size > _SMALLEST_OVERVIEW_PX:
        count, size = count + 1, math.ceil(size / 2)
    return count


def statistics_tags(statistics: BandStatistics) -> dict[str, str]:
    """Return statistics as GDAL names them; none but the share if no cell is valid."""
    if statistics.valid == 0:
        return {"STATISTICS_VALID_PERCENT": "0"}
    return {
        "STATISTICS_MINIMUM": f"{statistics.minimum:.17g}",
        "STATISTICS_MAXIMUM": f"{statistics.maximum:.17g}",
        "STATISTICS_MEAN": f"{statistics.mean:.17g}",
        "STATISTICS_STDDEV": f"{statistics.stddev:.17g}",
        "STATISTICS_VALID_PERCENT": f"{100.0 * statistics.valid / statistics.cells:.4g}",
    }


def _copy(source: str, path: Path, shape: tuple[int, int]) -> None:
    options = {
        "BLOCKSIZE": str(BLOCK_PX),
        "COMPRESS": "DEFLATE",
        "PREDICTOR": "YES",
        "RESAMPLING": "AVERAGE",
        "OVERVIEWS": "IGNORE_EXISTING",
        "OVERVIEW_COUNT": str(overview_count(shape)),
        "BIGTIFF": "IF_SAFER",
        "STATISTICS": "AUTO",
    }
    environment = {"GDAL_NUM_THREADS": "ALL_CPUS", "GDAL_CACHEMAX": _CACHE_BYTES}
    with replacing_file(path) as partial:
        try:
            with local_gdal(**environment):
                rasterio.shutil.copy(source, partial, driver="COG", **options)
        except (rasterio.errors.RasterioError, CPLE_BaseError) as error:
            raise _unwritten(path, str(error)) from error
        _check_complete(partial, path)


def _check_complete(written: Path, path: Path) -> None:
    """Refuse a truncated file: on a disk that fills up GDAL can leave one without saying so."""
    size = written.stat().st_size if written.exists() else 0
    try:
        with local_gdal(), rasterio.open(written) as source:
            whole = all(0 < end <= size for end in _tile_ends(source))
    except (rasterio.errors.RasterioError, CPLE_BaseError) as error:
        raise _unwritten(path, str(error)) from error
    if not whole:
        raise _unwritten(path, "the file was cut off")


def _tile_ends(source: Any) -> Iterator[int]:
    """Yield where in the file each tile of each level ends, 0 for one that is missing."""
    for level in (None, *range(len(source.overviews(1)))):
        factor = 1 if level is None else source.overviews(1)[level]
        rows, columns = (
            math.ceil(math.ceil(n / factor) / BLOCK_PX) for n in (source.height, source.width)
        )
        where = {} if level is None else {"ovr": level}
        for band in (1, source.count):
            for row in range(rows):
                for column in range(columns):
                    start, length = (
                        source.get_tag_item(
                            f"BLOCK_{kind}_{column}_{row}", "TIFF", bidx=band, **where
                        )
                        for kind in ("OFFSET", "SIZE")
                    )
                    yield int(start) + int(length) if start and length else 0


def _unwritten(path: Path, reason: str) -> OutputError:
    return OutputError(
        f"cannot write {path}: {reason}",
        remedy="free some space and start again; finished blocks are kept",
    )


def _mosaic(bands: Sequence[str], geobox: GeoBox, metadata: CogMetadata) -> str:
    """Return a GDAL virtual raster of these bands, with all that is said of them."""
    ny, nx = (str(n) for n in _shape(geobox))
    root = ET.Element("VRTDataset", rasterXSize=nx, rasterYSize=ny)
    ET.SubElement(root, "SRS").text = _wkt(geobox)
    ET.SubElement(root, "GeoTransform").text = ", ".join(
        f"{v:.17g}" for v in geobox.transform.to_gdal()
    )
    _tags(root, metadata.tags)
    for index, name in enumerate(bands):
        band = ET.SubElement(root, "VRTRasterBand", dataType="Float32", band=str(index + 1))
        ET.SubElement(band, "Description").text = metadata.descriptions[index]
        ET.SubElement(band, "NoDataValue").text = "nan"
        _tags(band, metadata.band_tags[index] if metadata.band_tags else {})
        source = ET.SubElement(band, "SimpleSource")
        ET.SubElement(source, "SourceFilename", relativeToVRT="0").text = name
        ET.SubElement(source, "SourceBand").text = "1"
        # Said here, so that nothing is opened before it is read.
        ET.SubElement(
            source,
            "SourceProperties",
            RasterXSize=nx,
            RasterYSize=ny,
            DataType="Float32",
            BlockXSize=str(BLOCK_PX),
            BlockYSize=str(BLOCK_PX),
        )
    return ET.tostring(root, encoding="unicode")


def _tags(element: ET.Element, tags: Mapping[str, str]) -> None:
    metadata = ET.SubElement(element, "Metadata")
    for key, value in tags.items():
        ET.SubElement(metadata, "MDI", key=key).text = value


def _describe(source: Any, metadata: CogMetadata) -> None:
    for index, text in enumerate(metadata.descriptions, start=1):
        source.set_band_description(index, text)
    source.update_tags(**metadata.tags)
    for index, tags in enumerate(metadata.band_tags, start=1):
        source.update_tags(index, **tags)
    if metadata.color:
        source.colorinterp = tuple(metadata.color)


def _shape(geobox: GeoBox) -> tuple[int, int]:
    return int(geobox.shape[0]), int(geobox.shape[1])


def _wkt(geobox: GeoBox) -> str:
    return "" if geobox.crs is None else geobox.crs.to_wkt()
