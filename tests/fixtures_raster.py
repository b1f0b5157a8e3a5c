"""Small real rasters, made on the spot: over dtype, nodata, mask, place, CRS and bands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

Pattern = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Place:
    """Where a raster lies: CRS, north-west corner and pixel size in units of the CRS."""

    crs: str | None
    west: float
    north: float
    res: float


PLACES = {
    "utm": Place("EPSG:32621", 720_000.0, -2_780_000.0, 30.0),
    "utm_off_lattice": Place("EPSG:32621", 717_345.0, -2_776_995.0, 30.0),
    "equator": Place("EPSG:32721", 500_015.0, 10_003_000.0, 30.0),
    "origin": Place("EPSG:6933", -3_000.0, 3_000.0, 30.0),
    "dateline": Place("EPSG:4326", 179.9, -16.9, 0.001),
    "pole": Place("EPSG:3413", -3_000.0, 3_000.0, 30.0),
    "lonlat": Place("EPSG:4326", -54.6, -25.3, 0.0003),
    "nowhere": Place(None, 0.0, 100.0, 1.0),
}


def waves(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Three bands, 40 to 216, that vary smoothly over about a kilometre (or 0.01 degrees)."""
    unit = 2.0 * np.pi / (0.02 if np.abs(x).max() <= 360.0 else 2000.0)
    bands = [np.sin(x * unit), np.cos(y * unit), np.sin((x + y) * unit / 2.0)]
    return 128.0 + 88.0 * np.stack(bands)


@dataclass(frozen=True)
class RasterSpec:
    """What to write: see `make_raster`."""

    place: str | Place = "utm"
    shape: tuple[int, int] = (200, 200)
    bands: int = 3
    dtype: str = "uint8"
    nodata: float | None = None
    mask: NDArray[np.bool_] | None = None
    alpha: NDArray[np.bool_] | None = None
    values: NDArray[np.generic] | None = None
    pattern: Pattern = waves
    profile: dict[str, object] = field(default_factory=dict)


class MakeRaster(Protocol):
    """Writes a GeoTIFF and returns its path."""

    def __call__(self, name: str = ..., /, **spec: object) -> Path: ...


def write_raster(path: Path, spec: RasterSpec) -> Path:
    """Write a GeoTIFF as specified and return its path."""
    place = PLACES[spec.place] if isinstance(spec.place, str) else spec.place
    rows, cols = spec.shape
    x = place.west + (np.arange(cols) + 0.5) * place.res
    y = place.north - (np.arange(rows) + 0.5) * place.res
    values = spec.values
    if values is None:
        waved = spec.pattern(*np.meshgrid(x, y))
        repeats = -(-spec.bands // waved.shape[0])
        values = np.concatenate([waved] * repeats)[: spec.bands]
        if np.dtype(spec.dtype).kind in "ui":
            values = np.rint(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    profile: dict[str, object] = {
        "driver": "GTiff",
        "height": rows,
        "width": cols,
        "count": spec.bands + (spec.alpha is not None),
        "dtype": spec.dtype,
        "nodata": spec.nodata,
        "crs": place.crs,
        "tiled": True,
        "blockxsize": 128,
        "blockysize": 128,
    }
    if place.crs is not None:
        profile["transform"] = from_origin(place.west, place.north, place.res, place.res)
    profile |= spec.profile
    env = rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True)
    with env, rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values.astype(spec.dtype), list(range(1, spec.bands + 1)))
        if spec.alpha is not None:
            opaque = np.iinfo(spec.dtype).max
            dataset.write(spec.alpha.astype(spec.dtype) * opaque, spec.bands + 1)
            colours = list(dataset.colorinterp)
            colours[spec.bands] = ColorInterp.alpha
            dataset.colorinterp = colours
        if spec.mask is not None:
            dataset.write_mask(spec.mask)
    return path
