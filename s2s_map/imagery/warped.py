"""Reading a scene of another CRS, or one that is not north up: GDAL's warper."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from s2s_map.catalog.handles import lent_raster
from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import RasterEntry, ValueScale
from s2s_map.imagery.lattice import Bounds, Lattice, PixelWindow
from s2s_map.imagery.resampling import AVERAGE_FROM
from s2s_map.imagery.scaling import to_8bit

_OPAQUE = 128
# Largest error of GDAL's interpolated coordinates, in source pixels.
_TOLERANCE_PX = 0.01
# Rows and columns warped in one go. Narrower ones take GDAL's path by blocks of 512 columns, which
# is twice as slow.
_CHUNK_PX = (256, 1024)


def read_warped(
    scene: Scene, lattice: Lattice, window: PixelWindow, crs: CRS, entry: RasterEntry
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read a window of the lattice from a scene by warping it.

    Returns:
        Pixels of shape (3, rows, columns) and their validity of shape (rows, columns).

    Raises:
        ImageryError: For a file that cannot be read.
    """
    if scene_window(scene, lattice, window, crs) & window is None:
        empty = (window.height, window.width)
        return np.zeros((3, *empty), dtype=np.uint8), np.zeros(empty, dtype=np.bool_)
    with lent_raster(scene.uri) as source:
        return warp_onto(
            source, scene, lattice, window, crs, entry.bands, entry.nodata, entry.scale
        )


def warp_onto(
    source: DatasetReader,
    scene: Scene,
    lattice: Lattice,
    window: PixelWindow,
    crs: CRS,
    bands: tuple[int, int, int],
    nodata: float | None,
    scale: ValueScale | None,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Warp an open source, the whole of a scene or what of it the window needs."""
    pixels = np.zeros((3, window.height, window.width), dtype=np.uint8)
    valid = np.zeros((window.height, window.width), dtype=np.bool_)
    extent = scene_window(scene, lattice, window, crs)
    part = extent & window
    if part is None:
        return pixels, valid
    average = lattice.pixel_m >= AVERAGE_FROM * scene.gsd_m
    kernel = Resampling.average if average else Resampling.cubic
    warp = _Warp(source, lattice, extent, crs, bands, nodata)
    if ColorInterp.alpha in source.colorinterp and not average:
        *colours, alpha = warp.read(part, kernel, with_alpha=True)
    else:
        # Colours and an alpha band in one go take more than twice as long; and GDAL's mean of alpha
        # leaves out what lies beyond a scene, so that pixels which barely touch it would count.
        colours = list(warp.read(part, kernel, with_alpha=False))
        alpha = warp.read(part, Resampling.nearest, with_alpha=True, colours=False)[0]
    floats = np.stack(colours).astype(np.float32)
    seen = (alpha >= _OPAQUE) & np.isfinite(floats).all(axis=0)
    inside = part.slices_in(window)
    scaled = to_8bit(np.where(seen, floats, np.float32(0.0)), scale)
    pixels[:, inside[0], inside[1]] = np.where(seen, scaled, np.uint8(0))
    valid[inside] = seen
    return pixels, valid


def scene_window(scene: Scene, lattice: Lattice, window: PixelWindow, crs: CRS) -> PixelWindow:
    """Return the lattice pixels that a scene covers, whichever window is read.

    For a scene that reaches beyond what the CRS can show, such as a mosaic of the whole Earth,
    these are the window's own.
    """
    bounds = scene.bounds if scene.crs == crs else _bounds_in(scene.bounds, scene.crs, crs)
    if not all(math.isfinite(edge) for edge in bounds):
        return window
    return lattice.cover(bounds)


@lru_cache(maxsize=4096)
def _bounds_in(bounds: Bounds, crs: CRS, other: CRS) -> Bounds:
    west, south, east, north = transform_bounds(
        crs.to_wkt(), other.to_wkt(), *bounds, densify_pts=101
    )
    return west, south, east, north


@dataclass(frozen=True)
class _Warp:
    """An open scene and the lattice pixels it covers."""

    source: DatasetReader
    lattice: Lattice
    extent: PixelWindow
    crs: CRS
    bands: tuple[int, int, int]
    nodata: float | None

    def read(
        self, part: PixelWindow, kernel: Resampling, with_alpha: bool, colours: bool = True
    ) -> NDArray[np.generic]:
        """Return a part of the extent: the colours, if wanted, and the alpha band, if wanted."""
        pixel = float(self.lattice.pixel_m)
        has_alpha = ColorInterp.alpha in self.source.colorinterp
        with WarpedVRT(
            self.source,
            crs=self.crs.to_wkt(),
            transform=from_origin(*self.lattice.origin(self.extent), pixel, pixel),
            width=self.extent.width,
            height=self.extent.height,
            resampling=kernel,
            tolerance=_TOLERANCE_PX,
            add_alpha=with_alpha and not has_alpha,
            **self._nodata(),
        ) as warped:
            bands = list(self.bands) if colours else []
            if with_alpha:
                bands.append(1 + list(warped.colorinterp).index(ColorInterp.alpha))
            return _read_chunks(warped, bands, part, self.extent)

    def _nodata(self) -> dict[str, object]:
        nodata = self.nodata if self.nodata is not None else self.source.nodata
        if nodata is None:
            return {}
        # A pixel is void where all bands are: a black band of dark water is not.
        return {"src_nodata": nodata, "nodata": None, "UNIFIED_SRC_NODATA": "YES"}


def _read_chunks(
    warped: WarpedVRT, bands: list[int], part: PixelWindow, extent: PixelWindow
) -> NDArray[np.generic]:
    """Read a part of a warped raster chunk by chunk, on the raster's own lattice of chunks.

    GDAL interpolates coordinates between exact ones at the edges of what it is asked for. Always
    asked for the same chunks, it gives a pixel the same value in every window.
    """
    values = np.empty((len(bands), part.height, part.width), dtype=warped.dtypes[0])
    inside = part.slices_in(extent)
    high, wide = _CHUNK_PX
    for top in range(inside[0].start // high * high, inside[0].stop, high):
        for left in range(inside[1].start // wide * wide, inside[1].stop, wide):
            chunk = PixelWindow(
                extent.top + top,
                extent.left + left,
                min(high, extent.height - top),
                min(wide, extent.width - left),
            )
            wanted = chunk & part
            if wanted is None:  # pragma: no cover  (the ranges above only give chunks that meet)
                continue
            read = warped.read(bands, window=Window(left, top, chunk.width, chunk.height))
            rows, cols = wanted.slices_in(part)
            from_rows, from_cols = wanted.slices_in(chunk)
            values[:, rows, cols] = read[:, from_rows, from_cols]
    return values
