"""One Landsat scene in several encodings, as people have it on their disks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

COLOURS = Path(__file__).parent / "data" / "colours"
NUMBERS = COLOURS / "landsat8_l1.tif"
FALSE_COLOUR = COLOURS / "false_colour.tif"

AIRLIGHT = np.array([9_500.0, 10_200.0, 11_500.0])[:, None, None]
HAZE = 0.4

LICENCE = {"licence": "public domain", "attribution": "Landsat 8 image courtesy of the USGS"}


@dataclass(frozen=True)
class Encoding:
    """A way to store a scene, and what its entry says beside the file."""

    name: str
    values: NDArray[np.generic]
    nodata: float | None
    fields: dict[str, Any] = field(default_factory=dict)

    def entry(self, path: Path) -> dict[str, Any]:
        """The fields of its catalog entry."""
        fixed = {"type": "raster", "title": self.name, "uri": str(path), "sensor": "landsat"}
        return {**fixed, **LICENCE, **self.fields}


def stretched(bands: NDArray[np.generic], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """8 bit as the embedded model was trained: percentiles of each band, then gamma 1.3."""
    out = np.zeros(bands.shape, np.uint8)
    for i, band in enumerate(bands.astype(np.float64)):
        low, high = np.percentile(band[valid], (0.5, 99.7))
        out[i] = np.rint(255.0 * np.clip((band - low) / (high - low), 0.0, 1.0) ** (1 / 1.3))
    return np.where(valid, np.maximum(out, 1), 0).astype(np.uint8)


def encodings(path: Path = NUMBERS) -> list[Encoding]:
    """The scene as a stretched picture, numbers, reflectance, hazy, with a collar, and wrong."""
    with rasterio.open(path) as source:
        numbers = source.read()
    valid = numbers.any(axis=0)
    reflectance = np.where(valid, 2e-5 * numbers - 0.1, np.nan).astype(np.float32)
    hazy = np.where(valid, np.rint((1 - HAZE) * numbers + HAZE * AIRLIGHT), 0).astype(np.uint16)
    auto = {"scale": "auto"}
    return [
        Encoding("stretched", stretched(numbers, valid), 0),
        Encoding("numbers", numbers, 0, auto),
        Encoding("reflectance", reflectance, float("nan"), auto),
        Encoding("hazy", hazy, 0, auto),
        Encoding("collar", numbers, None, auto),
        Encoding("match", numbers, None, {"scale": "match"}),
        Encoding("one-range", numbers, None, {"scale": {"min": 5000, "max": 18000}}),
    ]


def write_encoding(folder: Path, encoding: Encoding, like: Path = NUMBERS) -> Path:
    """Write an encoding as a GeoTIFF and return its path."""
    with rasterio.open(like) as source:
        profile = source.profile
    profile |= {"dtype": encoding.values.dtype, "nodata": encoding.nodata, "predictor": 1}
    path = folder / f"{encoding.name}.tif"
    with rasterio.open(path, "w", **profile) as target:
        target.write(encoding.values)
    return path
