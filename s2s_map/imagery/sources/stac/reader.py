"""How the files of a scene are read: as plain images alone, whoever serves them.

GDAL by itself chooses a driver by what a file holds. A virtual raster or the description of a
service, served in place of a COG, would have it read files of this machine or ask other hosts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.converters import rio_geobox
from odc.geo.geobox import GeoBox
from odc.geo.overlap import ReprojectInfo, compute_reproject_roi
from odc.geo.roi import roi_is_empty, roi_shape, w_
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.warp import reproject
from rasterio.windows import Window

from s2s_map.errors import ImageryError
from s2s_map.opening.open_files import open_dataset, reading, remote_settings

type Method = Literal["nearest", "average", "bilinear"]

# How far pixels may be off those wanted and still be taken as they are, in pixels: by the nearest
# pixel any will do.
_OFF = {"nearest": 0.9, "average": 0.05, "bilinear": 0.05}


@dataclass(frozen=True)
class Wanted:
    """What is read of a file.

    Attributes:
        band: Number of the band.
        dtype: Type of the numbers returned; larger and smaller ones are clipped.
        nodata: What stands where nothing was seen, if the file does not say it; None: its mask, if
            it has one, says so.
        fill: What to return there, and beyond the file.
        only: Type of the numbers that the file must have; None: any.
        by_mask: Whether the file's mask or alpha band counts, where no number stands for no data.
        method: How pixels of another size become those wanted.
    """

    band: int
    dtype: str
    nodata: float | None
    fill: int
    method: Method
    only: str | None = None
    by_mask: bool = True


@dataclass(frozen=True)
class Files:
    """Where the files of scenes may lie.

    Attributes:
        named_by: Address of the API that names them.
        redirects_to: Other hosts that their servers may redirect to.
    """

    named_by: str
    redirects_to: tuple[str, ...]

    def read(self, uri: str, box: GeoBox, wanted: Wanted) -> NDArray[Any]:
        """Read a band of a file of the network onto pixels.

        Args:
            uri: Address, signed if need be.
            box: The pixels.
            wanted: Of what, and how.

        Returns:
            Numbers of shape (rows, columns).

        Raises:
            CatalogError: For a file that does not lie on the network.
            ImageryError: For one that is not a plain image, or breaks.
        """
        settings = remote_settings(uri, self.named_by, self.redirects_to)
        found = np.full(tuple(box.shape), wanted.fill, dtype=wanted.dtype)
        with settings.environment(), open_dataset(settings) as image, reading(settings):
            info = compute_reproject_roi(rio_geobox(image), box, ttol=_OFF[wanted.method])
            if roi_is_empty(info.roi_dst) or roi_is_empty(info.roi_src):
                return found
            rows, cols = info.roi_dst
            where = slice(rows.start, rows.stop), slice(cols.start, cols.stop)
            there = np.full(roi_shape(info.roi_dst), wanted.fill, dtype=wanted.dtype)
            overview = _overview(image, info.read_shrink)
            if overview is None:
                _fill(there, image, info, wanted, box)
            else:
                with open_dataset(settings, overview) as coarse:
                    _fill(there, coarse, info, wanted, box)
            found[where] = there
        return found


def _fill(
    values: NDArray[Any],
    image: DatasetReader,
    info: ReprojectInfo,
    wanted: Wanted,
    box: GeoBox,
) -> None:
    band, fill = wanted.band, wanted.fill
    if band > image.count:
        raise ImageryError(f"it has {image.count} bands, not {band}")
    if wanted.only not in (None, image.dtypes[band - 1]):
        raise ImageryError(f"it has {image.dtypes[band - 1]} values instead of {wanted.only}")
    nodata = wanted.nodata if image.nodata is None else image.nodata
    flags = image.mask_flag_enums[band - 1]
    has_mask = bool({MaskFlags.per_dataset, MaskFlags.alpha} & set(flags))
    masked = nodata is None and wanted.by_mask and has_mask
    if info.paste_ok and info.read_shrink == 1:
        window = w_[info.roi_src]
        image.read(band, out=values, window=window)
        if nodata is not None:
            values[values == nodata] = fill
        if masked:
            values[image.read_masks(band, window=window) == 0] = fill
        return
    there = box[info.roi_dst]
    onto = {"dst_crs": str(box.crs), "dst_transform": there.transform}
    source = {} if nodata is None else {"src_nodata": nodata, "dst_nodata": fill}
    reproject(
        rasterio.band(image, band),
        values,
        **onto,
        **source,
        # Without a number for no data what is in the array stays where the file does not reach.
        init_dest_nodata=nodata is not None,
        resampling=Resampling[wanted.method],
    )
    if masked:
        values[_mask_onto(image, band, there) == 0] = fill


def _mask_onto(image: DatasetReader, band: int, there: GeoBox) -> NDArray[np.uint8]:
    """Return the mask of an image on pixels, by the nearest; 0 is not seen."""
    window = w_[compute_reproject_roi(rio_geobox(image), there).roi_src]
    mask = np.zeros(tuple(there.shape), dtype=np.uint8)
    reproject(
        image.read_masks(band, window=window),
        mask,
        src_crs=image.crs,
        src_transform=image.window_transform(Window.from_slices(*window)),
        dst_crs=str(there.crs),
        dst_transform=there.transform,
        resampling=Resampling.nearest,
    )
    return mask


def _overview(image: DatasetReader, shrink: int) -> int | None:
    """Return the coarsest overview that is no coarser than wanted; None for the image itself."""
    if shrink <= 1:
        return None
    fine = [level for level, factor in enumerate(image.overviews(1)) if factor <= shrink]
    return fine[-1] if fine else None
