"""A small region with synthetic imagery and a tiny formula-filled model, for the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import yaml
from fixtures_models import TINY, write_model_folder
from rasterio.transform import from_origin

from s2s_map.config.model import ModelConfig

WEST, NORTH = 600_000.0, 7_200_000.0
SIDE_PX, GSD_M = 200, 30.0


def write_scene(path: Path, empty: bool = False) -> None:
    """A 6 km scene of noise, UTM zone 21 south; its eastern quarter without data."""
    pixels = np.random.default_rng(0).integers(1, 255, (3, SIDE_PX, SIDE_PX), dtype=np.uint8)
    pixels[:, :, SIDE_PX * 3 // 4 :] = 0
    if empty:
        pixels[:] = 0
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "width": SIDE_PX,
        "height": SIDE_PX,
        "crs": "EPSG:32721",
        "transform": from_origin(WEST, NORTH, GSD_M, GSD_M),
        "nodata": 0,
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(pixels)


def write_job(
    folder: Path, empty: bool = False, network: ModelConfig = TINY, **changes: Any
) -> Path:
    """Write scene, catalog, model and config below a folder; returns the config's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_scene(folder / "scene.tif", empty)
    if not (folder / "model").exists():
        write_model_folder(folder / "model", network)
    entry = {
        "type": "raster",
        "title": "Noise",
        "uri": "scene.tif",
        "sensor": {"gsd_m": 30.0, "patch_m": 1280.0},
        "licence": "CC0-1.0",
        "attribution": "nobody",
    }
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump({"noise": entry}))
    config = {
        "output": str(folder / "out"),
        "source": "noise",
        "model": "model",
        "queries": [{"name": "waves", "text": "waves on a shore"}, {"text": "traffic"}],
        "grid": {"cell_m": 160, "block_cells": 16},
        "patches": {"stride_m": 320},
        **changes,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
