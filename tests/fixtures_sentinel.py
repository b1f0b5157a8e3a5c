"""Small Sentinel-2-like scenes of a known continuous pattern, as COGs and STAC items."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.crs import CRS
from rasterio.shutil import copy as gdal_copy
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds

PATTERN_CRS = CRS("EPSG:32632")
"""The pattern is one function of place, in this CRS, whatever CRS a scene is in."""

BANDS = ("red", "green", "blue")


def pattern(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reflectance of red, green and blue, 0.1 to 0.9, at places in the pattern's CRS."""
    unit = 2.0 * np.pi / 1500.0
    waves = [np.sin(x * unit), np.cos(y * unit), np.sin((x + y) * unit / 2.0)]
    return 0.5 + 0.4 * np.stack(waves)


def pattern_at(
    bounds: tuple[float, float, float, float], shape: tuple[int, int], crs: str
) -> NDArray[np.float64]:
    """Return the pattern at the pixels of bounds in any CRS."""
    rows, cols = shape
    west, south, east, north = bounds
    x = west + (np.arange(cols) + 0.5) * (east - west) / cols
    y = north - (np.arange(rows) + 0.5) * (north - south) / rows
    there = CRS(crs).transformer_to_crs(PATTERN_CRS, always_xy=True)(*np.meshgrid(x, y))
    return pattern(*map(np.asarray, there))


@dataclass(frozen=True)
class SceneSpec:
    """One scene to write."""

    name: str
    crs: str
    west: float
    north: float
    side: int = 600
    offset: int = 0
    cloud: float = 1.0
    clouds: Callable[[NDArray[np.int_], NDArray[np.int_]], NDArray[np.bool_]] | None = None
    properties: dict[str, Any] | None = None
    day: str = "2020-06-01T10:00:00Z"
    tile: str = "T"

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        side_m = self.side * 10.0
        return self.west, self.north - side_m, self.west + side_m, self.north


def write_scene_files(folder: Path, spec: SceneSpec) -> None:
    """Write red, green, blue (10 m, uint16) and scl (20 m) as COGs; clouds are bright."""
    side = spec.side
    numbers = np.rint(pattern_at(spec.bounds, (side, side), spec.crs) * 10_000) - spec.offset
    rows, cols = np.indices((side // 2, side // 2))
    classes = np.full((side // 2, side // 2), 4, dtype=np.uint8)
    if spec.clouds is not None:
        classes[spec.clouds(rows, cols)] = 9
    cloudy = np.repeat(np.repeat(classes == 9, 2, axis=0), 2, axis=1)
    folder.mkdir(parents=True, exist_ok=True)
    for name, values, res in (
        *zip(BANDS, np.where(cloudy, 12_000, numbers), (10.0,) * 3, strict=True),
        ("scl", classes, 20.0),
    ):
        profile = {
            "driver": "MEM",
            "dtype": "uint8" if name == "scl" else "uint16",
            "count": 1,
            "height": values.shape[0],
            "width": values.shape[1],
            "crs": spec.crs,
            "transform": from_origin(spec.west, spec.north, res, res),
            "nodata": 0,
        }
        with rasterio.MemoryFile() as memory, memory.open(**profile | {"driver": "GTiff"}) as data:
            data.write(values.astype(profile["dtype"]), 1)
            target = folder / f"{spec.name}_{name}.tif"
            gdal_copy(data, target, driver="COG", blocksize=256, compress="deflate")


def item_of(spec: SceneSpec, root: str) -> dict[str, Any]:
    """Return the STAC item of a scene whose files are at `root`."""
    west, south, east, north = transform_bounds(spec.crs, "EPSG:4326", *spec.bounds)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]

    def asset(name: str, res: float) -> dict[str, Any]:
        pixels = round(spec.side * 10.0 / res)
        return {
            "href": f"{root}/{spec.name}_{name}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "proj:shape": [pixels, pixels],
            "proj:transform": [res, 0, spec.west, 0, -res, spec.north],
        }

    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
        "id": spec.name,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": {
            "datetime": spec.day,
            "proj:code": spec.crs,
            "eo:cloud_cover": spec.cloud,
            "grid:code": f"MGRS-{spec.tile}",
            **(spec.properties or {"s2:processing_baseline": "02.14"}),
        },
        "links": [],
        "assets": {**{name: asset(name, 10.0) for name in BANDS}, "scl": asset("scl", 20.0)},
    }


def write_items(path: Path, items: list[dict[str, Any]]) -> Path:
    """Write an item collection."""
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return path
