"""Small Zarr cubes of imagery of the known pattern: plain ones and ESA's EOPF layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from fixtures_sentinel import pattern_at
from numpy.typing import NDArray
from pyproj import CRS

WEST, NORTH, SIDE, PIXEL = 400_000.0, 5_200_000.0, 240, 10.0
BOUNDS = (WEST, NORTH - SIDE * PIXEL, WEST + SIDE * PIXEL, NORTH)
UTM = "EPSG:32632"


def reflectance() -> NDArray[np.float64]:
    """Red, green, blue of the pattern over BOUNDS."""
    return pattern_at(BOUNDS, (SIDE, SIDE), UTM)


def coordinates(side: int = SIDE, pixel: float = PIXEL) -> dict[str, Any]:
    """Centres of pixels, north up."""
    return {
        "y": NORTH - (np.arange(side) + 0.5) * pixel,
        "x": WEST + (np.arange(side) + 0.5) * pixel,
    }


def plain_cube(values: NDArray[Any] | None = None) -> xr.Dataset:
    """Return 8-bit red, green and blue with CF's grid mapping."""
    if values is None:
        values = np.rint(reflectance() * 255.0).astype(np.uint8)
    names = ("red", "green", "blue")
    dataset = xr.Dataset(
        {
            n: (("y", "x"), v, {"grid_mapping": "spatial_ref"})
            for n, v in zip(names, values, strict=True)
        },
        coordinates(),
    )
    return dataset.assign_coords(spatial_ref=xr.DataArray(0, attrs=CRS(UTM).to_cf()))


def write_cube(dataset: xr.Dataset, path: Path, zarr_format: int = 3) -> Path:
    """Write a cube in chunks of 100, with consolidated metadata."""
    for values in dataset.data_vars.values():
        values.encoding["chunks"] = tuple(min(100, size) for size in values.shape)
    with zarr.config.set({"default_zarr_format": zarr_format}):
        dataset.to_zarr(path, zarr_format=zarr_format, consolidated=False)
        consolidate(path, zarr_format)
    return path


def consolidate(path: Path, zarr_format: int) -> None:
    """Write consolidated metadata; Zarr says that version 3 has no standard for it yet."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(path, zarr_format=zarr_format)


def write_eopf(path: Path, clouds: NDArray[np.bool_] | None = None, zarr_format: int = 2) -> Path:
    """Write a Sentinel-2 L2A product as ESA's sample service lays it out.

    uint16 counts with scale_factor 0.0001, add_offset -0.1 and fill value 0; CRS and time in the
    root's attributes; the scene classification at 20 m. Clouds, at 20 m, are bright.
    """
    numbers = np.rint((reflectance() + 0.1) * 10_000).astype(np.uint16)
    classes = np.full((SIDE // 2, SIDE // 2), 4, np.uint8)
    if clouds is not None:
        classes[clouds] = 9
        numbers[:, np.repeat(np.repeat(clouds, 2, 0), 2, 1)] = 14_000
    attributes = {
        "other_metadata": {"horizontal_CRS_code": UTM},
        "stac_discovery": {"properties": {"datetime": "2025-05-22T12:50:39.000Z"}},
    }
    root = zarr.open_group(path, mode="w", zarr_format=zarr_format, attributes=attributes)
    root.create_group("measurements/reflectance")
    root.create_group("conditions/mask/l2a_classification")
    bands = xr.Dataset(
        {n: (("y", "x"), v) for n, v in zip(("b04", "b03", "b02"), numbers, strict=True)},
        coordinates(),
    )
    for values in bands.data_vars.values():
        values.attrs = {"_FillValue": 0, "scale_factor": 0.0001, "add_offset": -0.1}
        values.attrs |= {"units": "digital_counts", "proj:epsg": 32632}
        values.encoding["chunks"] = (100, 100)
    scl = xr.Dataset({"scl": (("y", "x"), classes)}, coordinates(SIDE // 2, 2 * PIXEL))
    for group, dataset in (
        ("measurements/reflectance/r10m", bands),
        ("conditions/mask/l2a_classification/r20m", scl),
    ):
        dataset.to_zarr(path, group=group, consolidated=False, zarr_format=zarr_format)
    consolidate(path, zarr_format)
    return path
