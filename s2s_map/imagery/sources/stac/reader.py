"""How odc-stac opens the files of a scene: as plain images alone, whoever serves them.

odc-stac's own reader lets GDAL choose a driver by what a file holds. A virtual raster or the
description of a service, served in place of a COG, would have GDAL read files of this machine or
ask other hosts. A driver is handed over with each load, so that it holds in every process.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.converters import rio_geobox
from odc.geo.geobox import GeoBox
from odc.geo.overlap import ReprojectInfo, compute_reproject_roi
from odc.geo.roi import roi_is_empty, roi_shape, w_
from odc.geo.warp import resampling_s2rio
from odc.loader import RasterLoadParams, RasterSource, RioDriver, RioReader
from rasterio.io import DatasetReader
from rasterio.warp import reproject

from s2s_map.opening.open_files import open_dataset, reading, remote_settings

NO_DATA = 0
"""What bands and classes of Sentinel-2 L2A hold where there is nothing."""

# How far pixels may be off those wanted and still be taken as they are, in pixels: by the nearest
# pixel any will do.
_OFF = {True: 0.9, False: 0.05}

type Read = tuple[tuple[slice, slice], NDArray[Any]]


class ImageFileDriver(RioDriver):
    """odc-stac's driver, but for how files are opened.

    Args:
        named_by: Address of the API that names the files.
        redirects_to: Other hosts that their servers may redirect to.
    """

    def __init__(self, named_by: str, redirects_to: tuple[str, ...]) -> None:
        super().__init__()
        self._named_by, self._redirects_to = named_by, redirects_to

    def open(self, src: RasterSource, ctx: object) -> ImageFileReader:
        """Return what reads a band of a file."""
        return ImageFileReader(src, self._named_by, self._redirects_to)


class ImageFileReader(RioReader):
    """Reads a band of a file of the network that one of `catalog.opening.REMOTE_DRIVERS` opens.

    Args:
        src: Address and number of the band.
        named_by: Address of the API that names the file.
        redirects_to: Other hosts that its server may redirect to.
    """

    def __init__(self, src: RasterSource, named_by: str, redirects_to: tuple[str, ...]) -> None:
        self._source, self._named_by, self._redirects_to = src, named_by, redirects_to

    def read(
        self,
        cfg: RasterLoadParams,
        dst_geobox: GeoBox,
        *,
        dst: NDArray[Any] | None = None,
        selection: object = None,
    ) -> Read:
        """Return what of the wanted pixels the file covers, and its values there.

        Raises:
            CatalogError: For a file that does not lie on the network.
            ImageryError: For one that is not a plain image, or breaks.
        """
        settings = remote_settings(self._source.uri, self._named_by, self._redirects_to)
        with settings.environment(), open_dataset(settings) as image, reading(settings):
            info = compute_reproject_roi(rio_geobox(image), dst_geobox, ttol=_OFF[cfg.nearest])
            rows, cols = info.roi_dst
            where = slice(rows.start, rows.stop), slice(cols.start, cols.stop)
            values: NDArray[Any] = (
                np.empty(roi_shape(info.roi_dst), dtype=cfg.dtype) if dst is None else dst[where]
            )
            values[:] = NO_DATA
            if roi_is_empty(info.roi_dst) or roi_is_empty(info.roi_src):
                return where, values
            overview = _overview(image, info.read_shrink)
            if overview is None:
                self._fill(values, image, info, cfg, dst_geobox)
                return where, values
            with open_dataset(settings, overview) as coarse:
                self._fill(values, coarse, info, cfg, dst_geobox)
            return where, values

    def _fill(
        self,
        values: NDArray[Any],
        image: DatasetReader,
        info: ReprojectInfo,
        cfg: RasterLoadParams,
        wanted: GeoBox,
    ) -> None:
        band = max(1, self._source.band)
        nodata = NO_DATA if image.nodata is None else image.nodata
        if info.paste_ok and info.read_shrink == 1:
            image.read(band, out=values, window=w_[info.roi_src])
            if nodata != NO_DATA:
                values[values == nodata] = NO_DATA
            return
        there = wanted[info.roi_dst]
        reproject(
            rasterio.band(image, band),
            values,
            src_nodata=nodata,
            dst_crs=str(wanted.crs),
            dst_transform=there.transform,
            dst_nodata=NO_DATA,
            resampling=resampling_s2rio(cfg.resampling),
        )


def _overview(image: DatasetReader, shrink: int) -> int | None:
    """Return the coarsest overview that is no coarser than wanted; None for the image itself."""
    if shrink <= 1:
        return None
    fine = [level for level, factor in enumerate(image.overviews(1)) if factor <= shrink]
    return fine[-1] if fine else None
