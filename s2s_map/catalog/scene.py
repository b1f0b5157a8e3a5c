"""Scenes: the source images of a catalog entry and what their headers say."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS
from pyproj import Geod
from pyproj.exceptions import CRSError, GeodError, ProjError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from s2s_map.config.catalog import RasterEntry
from s2s_map.errors import ImageryError
from s2s_map.opening.handles import forget
from s2s_map.opening.open_files import open_raster
from s2s_map.opening.unchanged import FileStamp, stamps_of
from s2s_map.regions.longitudes import by_whole_turns, full_turn, parted, turned

_FINEST_M, _COARSEST_M = 0.001, 1_000_000.0
# Coordinates beyond this are none of any CRS of the Earth; floats tell no pixels apart there.
_FARTHEST = 1e12
_THINNEST = 1e-9

Validity = Literal["mask", "alpha", "nodata", "all"]


@dataclass(frozen=True)
class Scene:
    """A source image, as its header describes it; no file is held open.

    Attributes:
        uri: Path of the file.
        bounds: (minx, miny, maxx, maxy) in units of `crs`; longitudes may go on beyond 180.
        crs: CRS of the file.
        shape: Pixels, rows and columns.
        transform: From (column, row) of pixel corners to `crs`.
        band_count: Number of bands, an alpha band included.
        dtype: Numpy name of the pixel type.
        valid: What tells observed pixels: a mask or alpha band, a nodata value, or nothing: all.
        stamps: What its files were like when the header was read; none of a remote one.
    """

    uri: str
    bounds: tuple[float, float, float, float]
    crs: CRS
    shape: tuple[int, int]
    transform: Affine
    band_count: int
    dtype: str
    valid: Validity
    stamps: tuple[FileStamp, ...] = field(default=(), compare=False, repr=False)

    @property
    def res(self) -> tuple[float, float]:
        """Size of a pixel in units of `crs`, x and y."""
        t = self.transform
        return math.hypot(t.a, t.d), math.hypot(t.b, t.e)

    @property
    def outline(self) -> Polygon:
        """Outline of the image in `crs`; longitudes may go on beyond 180."""
        return Polygon(_corners(self.transform, self.shape))

    @property
    def footprint(self) -> BaseGeometry:
        """Outline of the image in `crs`; one across the antimeridian in degrees is parted there."""
        return parted(self.outline, self.crs)

    def own_x(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return x of `crs` as the image counts it: longitudes by whole turns nearest to it."""
        turn = full_turn(self.crs)
        if turn is None:
            return x
        return turned(x, (self.bounds[0] + self.bounds[2]) / 2.0, turn)

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
    stamps = stamps_of(uri)
    with open_raster(uri) as dataset:
        _check_georeferencing(dataset, uri)
        _check_bands(dataset, uri, entry)
        shape = (dataset.height, dataset.width)
        crs = _named(dataset.crs, uri)
        transform = by_whole_turns(dataset.transform, shape, crs)
        xs, ys = zip(*_corners(transform, shape), strict=True)
        scene = Scene(
            uri=uri,
            bounds=(min(xs), min(ys), max(xs), max(ys)),
            crs=crs,
            shape=shape,
            transform=transform,
            band_count=dataset.count,
            dtype=str(dataset.dtypes[entry.bands[0] - 1]),
            valid=_validity(dataset, entry),
            stamps=stamps,
        )
    _check_on_earth(scene)
    return scene


def _named(crs: rasterio.crs.CRS, uri: str) -> CRS:
    # By EPSG code where it has one: texts that mean the same CRS would not compare equal.
    try:
        code = crs.to_epsg()
        named = CRS(f"EPSG:{code}" if code else crs.to_wkt())
    except (CRSError, ProjError, RasterioError) as error:
        raise _no_crs(uri, str(error)) from None
    # An engineering CRS is in metres of some site, a geocentric one has three axes from the middle
    # of the Earth, a vertical one has one.
    if not (named.projected or named.geographic) or named.proj.is_geocentric:
        raise _no_crs(uri, named.proj.name or "it is neither projected nor geographic")
    return named


def _no_crs(uri: str, why: str) -> ImageryError:
    return ImageryError(
        f"{uri} has a CRS that says of no pixel where on the Earth it is ({why})",
        expected="a projected or geographic CRS",
        remedy="assign the right one, for example with gdal_edit -a_srs EPSG:CODE",
    )


def _check_transform(dataset: rasterio.DatasetReader, uri: str) -> None:
    t = dataset.transform
    reach = max(dataset.width, dataset.height)
    numbers = [t.a, t.b, t.c, t.d, t.e, t.f]
    ends = [t.c, t.f, *(step * reach for step in (t.a, t.b, t.d, t.e))]
    area = t.a * t.e - t.b * t.d
    longer = max(math.hypot(t.a, t.d), math.hypot(t.b, t.e))
    whole = longer * longer
    # What is nearly a line has no inverse: its pixels cannot be distinguished.
    if (
        not all(abs(end) < _FARTHEST for end in ends)
        or whole <= 0.0
        or abs(area) < _THINNEST * whole
    ):
        shown = ", ".join(f"{number:g}" for number in numbers)
        raise ImageryError(
            f"{uri} has the geotransform ({shown}), in which pixels have no area or no place",
            expected="a georeferenced raster",
            remedy="assign it, for example with gdal_edit -a_ullr",
        )


def _check_on_earth(scene: Scene) -> None:
    try:
        size = scene.gsd_m
    except (ValueError, GeodError, ProjError):
        size = math.nan
    if not _FINEST_M <= size <= _COARSEST_M:
        where = (
            f"with pixels of {size:.3g} m"
            if math.isfinite(size)
            else "which is not a place on the Earth"
        )
        raise ImageryError(
            f"{scene.uri} lies at {', '.join(f'{edge:g}' for edge in scene.bounds)} in "
            f"{scene.crs}, {where}",
            expected=f"imagery on the Earth, with pixels of {_FINEST_M:g} to {_COARSEST_M:,.0f} m",
            remedy="assign the right CRS and geotransform, for example with gdal_edit",
        )


def _check_georeferencing(dataset: rasterio.DatasetReader, uri: str) -> None:
    if dataset.gcps[0] and dataset.transform.is_identity:
        raise ImageryError(
            f"{uri} has {len(dataset.gcps[0])} ground control points and no geotransform",
            expected="a georeferenced raster",
            remedy="warp it, for example with gdalwarp -t_srs EPSG:CODE FILE warped.tif",
        )
    if dataset.crs is None or dataset.transform.is_identity:
        what = "CRS" if dataset.crs is None else "geotransform"
        raise ImageryError(
            f"{uri} has no {what}",
            expected="a georeferenced raster",
            remedy="assign it, for example with gdal_edit -a_srs EPSG:CODE",
        )
    _check_transform(dataset, uri)


def _check_bands(dataset: rasterio.DatasetReader, uri: str, entry: RasterEntry) -> None:
    colours = [i for i, c in enumerate(dataset.colorinterp, 1) if c != ColorInterp.alpha]
    missing = [band for band in entry.bands if band not in colours]
    used = [dataset.colorinterp[band - 1] for band in entry.bands if band not in missing]
    if ColorInterp.palette in (dataset.colorinterp if missing else used):
        raise ImageryError(
            f"{uri} has colours by number, in a palette",
            expected=f"bands {', '.join(map(str, entry.bands))} as red, green and blue",
            remedy="expand it, for example with gdal_translate -expand rgb",
        )
    if missing:
        raise ImageryError(
            f"{uri} has {len(colours)} colour band{'s' * (len(colours) != 1)}",
            expected=f"bands {', '.join(map(str, entry.bands))} as red, green and blue",
            remedy="correct bands: in the catalog entry"
            if len(colours) >= 3
            else "use an RGB image",
        )
    types = {str(dataset.dtypes[band - 1]) for band in entry.bands}
    odd = sorted(kind for kind in types if "complex" in kind)
    if odd:
        raise ImageryError(
            f"{uri} has {odd[0]} values",
            expected="real ones, as of red, green and blue",
            remedy="use another product; radar's complex numbers are not a picture",
        )
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
