"""Opening raster files with GDAL, kept to local files and the usual image formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from s2s_map.errors import ImageryError

DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG", "HFA")
"""GDAL drivers imagery may use: none that runs code or follows references to other places."""

_GDAL_OPTIONS: dict[str, Any] = {
    # Folders of thousands of scenes are not listed on every opening; side files (.ovr, .msk) of
    # local files are still found by name.
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
    "GDAL_CACHEMAX": 256,
    "GDAL_PAM_ENABLED": False,
}


@contextmanager
def gdal_environment() -> Iterator[None]:
    """Set GDAL up for reading imagery while in the context, in this thread."""
    with rasterio.Env(**_GDAL_OPTIONS):
        yield


@contextmanager
def open_raster(uri: str) -> Iterator[DatasetReader]:
    """Open a raster file for reading.

    Args:
        uri: Path of a local file. GDAL's virtual and remote paths are refused.

    Raises:
        ImageryError: For a missing file, one that is not a raster of a known format, or one that
            breaks while it is read.
    """
    path = Path(uri)
    if not path.is_file():
        raise ImageryError(
            f"no file {uri}", remedy="check the entry's uri:; paths are relative to the catalog"
        )
    with gdal_environment():
        try:
            # rasterio.open takes one driver only; the class takes a list.
            dataset = DatasetReader(str(path.resolve()), driver=list(DRIVERS), sharing=False)
        except RasterioError as error:
            raise ImageryError(
                f"{uri} does not open as a raster ({_first_line(error)})",
                expected="a GeoTIFF, COG, JPEG 2000 or other georeferenced image",
            ) from error
        with dataset:
            try:
                yield dataset
            except RasterioError as error:
                raise ImageryError(
                    f"{uri} cannot be read ({_first_line(error)})",
                    remedy="check that the file is whole; fetch it again if not",
                ) from error


def _first_line(error: Exception) -> str:
    # rasterio's own text is often only "Read failed": GDAL's reason is the cause.
    reason = error.__cause__ or error
    lines = str(reason).splitlines()
    return lines[0] if lines else type(reason).__name__
