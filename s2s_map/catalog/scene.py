"""Scenes: the source images of a catalog entry and what their headers say."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import rasterio
from affine import Affine
from odc.geo.crs import CRS
from pyproj import Geod
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from shapely import Polygon

from s2s_map.catalog.handles import forget
from s2s_map.catalog.opening import open_raster
from s2s_map.config.catalog import RasterEntry
from s2s_map.errors import ImageryError

Validity = Literal["mask", "alpha", "nodata", "all"]


@dataclass(frozen=True)
class Scene:
    """A source image, as its header describes it; no file is held open.

    Attributes:
        uri: Path of the file.
        bounds: (minx, miny, maxx, maxy) in units of `crs`.
        crs: CRS of the file.
        shape: Pixels, rows and columns.
        transform: From (column, row) of pixel corners to `crs`.
        band_count: Number of bands, an alpha band included.
        dtype: Numpy name of the pixel type.
        valid: What tells observed pixels: a mask or alpha band, a nodata value, or nothing: all.
    """

    uri: str
    bounds: tuple[float, float, float, float]
    crs: CRS
    shape: tuple[int, int]
    transform: Affine
    band_count: int
    dtype: str
    valid: Validity

    @property
    def res(self) -> tuple[float, float]:
        """Size of a pixel in units of `crs`, x and y."""
        t = self.transform
        return math.hypot(t.a, t.d), math.hypot(t.b, t.e)

    @property
    def footprint(self) -> Polygon:
        """Outline of the image in `crs`."""
        return Polygon(_corners(self.transform, self.shape))

    @property
    def gsd_m(self) -> float:
        """Ground sample distance at the image's centre in metres, the coarser of both axes."""
        col, row = self.shape[1] / 2.0, self.shape[0] / 2.0
        centre, right, below = ((col, row), (col + 1, row), (col, row + 1))
        lon, lat = zip(*(self._lonlat(*point) for point in (centre, right, below)), strict=True)
        geod = Geod(ellps="WGS84")
        _, _, across = geod.inv(lon[0], lat[0], lon[1], lat[1])
        _, _, down = geod.inv(lon[0], lat[0], lon[2], lat[2])
        return float(max(across, down))

    def _lonlat(self, col: float, row: float) -> tuple[float, float]:
        x, y = _apply(self.transform, col, row)
        to_lonlat = self.crs.transformer_to_crs(CRS("EPSG:4326"), always_xy=True)
        lon, lat = to_lonlat(x, y)
        return float(lon), float(lat)


def inspect_scene(uri: str, entry: RasterEntry) -> Scene:
    """Read the header of a raster file and check it against its catalog entry.

    Raises:
        ImageryError: For a missing or unreadable file, one without CRS, with fewer bands than
            the entry declares, or with values that are not 8 bit where no scale is declared.
    """
    with warnings.catch_warnings():
        # Said as an error below.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        forget(uri)
        return _inspect(uri, entry)


def _inspect(uri: str, entry: RasterEntry) -> Scene:
    with open_raster(uri) as dataset:
        _check_georeferencing(dataset, uri)
        _check_bands(dataset, uri, entry)
        shape = (dataset.height, dataset.width)
        corners = _corners(dataset.transform, shape)
        xs, ys = zip(*corners, strict=True)
        return Scene(
            uri=uri,
            bounds=(min(xs), min(ys), max(xs), max(ys)),
            crs=_named(dataset.crs),
            shape=shape,
            transform=dataset.transform,
            band_count=dataset.count,
            dtype=str(dataset.dtypes[entry.bands[0] - 1]),
            valid=_validity(dataset, entry),
        )


def _named(crs: rasterio.crs.CRS) -> CRS:
    # By EPSG code where it has one: texts that mean the same CRS would not compare equal.
    code = crs.to_epsg()
    return CRS(f"EPSG:{code}" if code else crs.to_wkt())


def _check_georeferencing(dataset: rasterio.DatasetReader, uri: str) -> None:
    if dataset.crs is None or dataset.transform.is_identity:
        what = "CRS" if dataset.crs is None else "geotransform"
        raise ImageryError(
            f"{uri} has no {what}",
            expected="a georeferenced raster",
            remedy="assign it, for example with gdal_edit -a_srs EPSG:CODE",
        )


def _check_bands(dataset: rasterio.DatasetReader, uri: str, entry: RasterEntry) -> None:
    colours = [i for i, c in enumerate(dataset.colorinterp, 1) if c != ColorInterp.alpha]
    missing = [band for band in entry.bands if band not in colours]
    if missing:
        raise ImageryError(
            f"{uri} has {len(colours)} colour band{'s' * (len(colours) != 1)}",
            expected=f"bands {', '.join(map(str, entry.bands))} as red, green and blue",
            remedy="correct bands: in the catalog entry"
            if len(colours) >= 3
            else "use an RGB image",
        )
    types = {str(dataset.dtypes[band - 1]) for band in entry.bands}
    if entry.scale is None and types != {"uint8"}:
        raise ImageryError(
            f"{uri} has {', '.join(sorted(types))} values",
            expected="8 bit, or a scale",
            remedy="add scale: auto, or {min: ..., max: ...}, to the catalog entry",
        )


def _validity(dataset: rasterio.DatasetReader, entry: RasterEntry) -> Validity:
    if entry.nodata is not None:
        return "nodata"
    flags = dataset.mask_flag_enums[entry.bands[0] - 1]
    for flag, name in (
        (MaskFlags.alpha, "alpha"),
        (MaskFlags.nodata, "nodata"),
        (MaskFlags.per_dataset, "mask"),
    ):
        if flag in flags:
            return name  # type: ignore[return-value]
    return "all"


def _corners(transform: Affine, shape: tuple[int, int]) -> list[tuple[float, float]]:
    rows, cols = shape
    return [_apply(transform, *corner) for corner in ((0, 0), (cols, 0), (cols, rows), (0, rows))]


def _apply(t: Affine, col: float, row: float) -> tuple[float, float]:
    # affine 3 deprecates the operator that affine 2 needs.
    return t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f
