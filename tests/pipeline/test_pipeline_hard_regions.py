"""Whole runs over places that break maps: each cell shows the ground that is there.

The imagery is one raster of the whole Earth in degrees, whose colours tell longitude and latitude
without a step at the antimeridian; the model's vectors are the colours of its patches.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import yaml
from fixtures_plain_model import MODEL
from numpy.typing import NDArray
from rasterio.transform import from_origin
from rasterio.warp import transform

from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.pipeline.verbs.run import run
from s2s_map.regions.region_file import read_outline

STEP, GREEN = 0.1, 128


@pytest.fixture(scope="module")
def earth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red tells the cosine of the longitude, blue the sine; each with the cosine of the latitude.

    So there is no step at a pole either.
    """
    folder = tmp_path_factory.mktemp("earth")
    lon = np.radians(-180 + STEP / 2 + STEP * np.arange(3600))[None, :]
    lat = np.radians(90 - STEP / 2 - STEP * np.arange(1800))[:, None]
    colours = colours_at(lon, lat)
    pixels = np.rint(colours).astype(np.uint8)
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "height": 1800,
        "width": 3600,
        "crs": "EPSG:4326",
        "transform": from_origin(-180, 90, STEP, STEP),
        "tiled": True,
        "compress": "deflate",
    }
    with rasterio.open(folder / "earth.tif", "w", **profile) as dataset:
        dataset.write(pixels)
    return folder


def colours_at(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    red = 128 + 100 * np.cos(lat) * np.cos(lon)
    blue = 128 + 100 * np.cos(lat) * np.sin(lon)
    return np.stack([red, np.full(red.shape, float(GREEN)), blue])


@pytest.mark.parametrize(
    ("region", "cell_km"),
    [
        ("Fiji", 10),
        ("Chukotka", 40),
        ("Svalbard", 20),
        ("Antarctica", 160),
        ("Russia", 160),
        ("Chile", 80),
        ("US", 160),
        ("Vatican City", 10),
        ("Nauru", 20),
        ([179.0, -18.0, -179.0, -16.0], 10),
    ],
)
def test_each_cell_shows_its_ground(
    earth: Path, tmp_path: Path, region: object, cell_km: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = {
        "type": "raster",
        "title": "The Earth",
        "uri": str(earth / "earth.tif"),
        "sensor": {"gsd_m": 11_000, "patch_m": cell_km * 1000},
        "licence": "CC0-1.0",
        "attribution": "nobody",
    }
    (tmp_path / "data_catalog.yaml").write_text(yaml.safe_dump({"earth": entry}))
    config = {
        "output": "out",
        "source": "earth",
        "region": region,
        "model": MODEL,
        "device": "cpu",
        "queries": [{"name": "waves", "text": "waves"}],
        "grid": {"cell_m": cell_km * 1000, "block_cells": 8},
        "patches": {"stride_m": cell_km * 1000, "level": "patch"},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    out = run(path).folder

    store = EmbeddingsStore.open(out / "embeddings.zarr")
    vectors = store.read_rows(slice(0, store.grid.shape[0]))[0]
    seen = np.isfinite(vectors[..., 0])
    assert seen.any()
    with rasterio.open(out / "waves.tif") as cog:
        np.testing.assert_array_equal(cog.read_masks(1) > 0, seen)
        x, y = (
            np.asarray(axis).reshape(seen.shape)
            for axis in rasterio.transform.xy(cog.transform, *np.indices(seen.shape).reshape(2, -1))
        )
        # By the file's own CRS, as anybody reads it.
        lon, lat = map(np.asarray, transform(cog.crs, "EPSG:4326", x[seen], y[seen]))
    expected = colours_at(np.radians(lon), np.radians(lat))
    # Vectors are red, green, blue, ... over their length: green is known.
    shown = vectors[seen][:, :3] / vectors[seen][:, 1:2] * GREEN
    assert np.abs(shown.T - expected).max() < 2.5

    outline = read_outline(region, [])
    shapely.prepare(outline.lonlat)
    inside = shapely.contains_xy(outline.lonlat, lon, lat)
    # A place smaller than a cell has the cell that it lies in.
    assert inside.all() or seen.sum() <= 4
