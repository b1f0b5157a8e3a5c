"""Small scenes of each collection: recorded items of the public APIs with pixels of our own."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import rasterio
from fixtures_servers import serve_folder, serve_stac
from numpy.typing import NDArray
from rasterio.shutil import copy as gdal_copy
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds

ITEMS = Path(__file__).parent / "data" / "stac_items"
SIDE = 64

__all__ = ["ITEMS", "SIDE", "bounds_of", "recorded", "scene_of", "serve_folder", "serve_stac"]


def recorded(name: str) -> dict[str, Any]:
    """Return a recorded item."""
    item: dict[str, Any] = json.loads((ITEMS / f"{name}.json").read_text())
    return item


def _place(item: dict[str, Any]) -> tuple[str, list[float]]:
    """Return the CRS and the transform of an item's pixels, as it says them."""
    properties = item["properties"]
    crs = properties.get("proj:code") or f"EPSG:{properties['proj:epsg']}"
    fields = [properties, *item["assets"].values()]
    return crs, next(f["proj:transform"] for f in fields if "proj:transform" in f)


def scene_of(
    folder: Path,
    root: str,
    item: dict[str, Any],
    pixels: dict[str, NDArray[Any]],
    nodata: dict[str, float | None],
    **changes: Any,
) -> dict[str, Any]:
    """Write files of a scene and return its item: the recorded one, SIDE pixels from its corner.

    Args:
        folder: Where to write.
        root: Address of the folder.
        item: The recorded item.
        pixels: Of each asset, (rows, columns) or (bands, rows, columns).
        nodata: What the file says of no data, by asset; None: nothing.
        changes: Properties to change, and `id`.
    """
    found = copy.deepcopy(item)
    found["id"] = changes.pop("id", item["id"])
    found["properties"] |= changes
    crs, transform = _place(item)
    pixel, west, north = transform[0], transform[2], transform[5]
    side_m = pixel * SIDE
    box = transform_bounds(crs, "EPSG:4326", west, north - side_m, west + side_m, north)
    found["bbox"] = list(box)
    found["geometry"] = {
        "type": "Polygon",
        "coordinates": [
            [[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]], box[:2]]
        ],
    }
    for name, values in pixels.items():
        layers = values if values.ndim == 3 else values[None]
        res = side_m / layers.shape[1]
        profile = {
            "driver": "GTiff",
            "dtype": str(layers.dtype),
            "count": layers.shape[0],
            "height": layers.shape[1],
            "width": layers.shape[2],
            "crs": crs,
            "transform": from_origin(west, north, res, res),
            "nodata": nodata.get(name),
        }
        with rasterio.MemoryFile() as memory, memory.open(**profile) as data:
            data.write(layers)
            gdal_copy(data, folder / f"{found['id']}_{name}.tif", driver="COG", blocksize=128)
        asset = found["assets"][name]
        asset["href"] = f"{root}/{found['id']}_{name}.tif"
        if "proj:shape" in asset:
            asset["proj:shape"] = list(layers.shape[1:])
    found["properties"].pop("proj:bbox", None)
    if "proj:shape" in found["properties"]:
        found["properties"]["proj:shape"] = [SIDE, SIDE]
    return found


def bounds_of(item: dict[str, Any]) -> tuple[tuple[float, float, float, float], str]:
    """Return where the pixels of `scene_of` lie, and their CRS."""
    crs, (pixel, _, west, _, _, north, *_) = _place(item)
    return (west, north - pixel * SIDE, west + pixel * SIDE, north), crs
