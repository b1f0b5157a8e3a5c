"""Whole runs over images in degrees that count their longitudes beyond 180, or from 0 to 360."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
import yaml
from affine import Affine
from fixtures_cubes import write_cube
from fixtures_plain_model import MODEL
from numpy.typing import NDArray

from s2s_map.config.cube import ZarrEntry
from s2s_map.config.run import load_run_config
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.plan import make_plan
from s2s_map.pipeline.verbs.run import run

DATA = Path(__file__).parents[1] / "data" / "longitudes"
STEP = 0.0003
UTM = "EPSG:32721"
COMMON: dict[str, Any] = {
    "title": "Degrees",
    "sensor": {"gsd_m": 30, "patch_m": 840},
    "licence": "CC0-1.0",
    "attribution": "nobody",
}


def shifted(name: str, folder: Path, degrees: float, columns: slice = slice(None)) -> Path:
    """Write some columns of a file of DATA again, so many degrees further east."""
    with rasterio.open(DATA / name) as source:
        profile, pixels, t = source.profile, source.read()[:, :, columns], source.transform
    first = columns.start or 0
    west = t.c + degrees + first * t.a
    profile.update(transform=Affine(t.a, 0, west, 0, t.e, t.f), width=pixels.shape[2])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{degrees:g}_{first}.tif"
    with rasterio.open(path, "w", **profile) as target:
        target.write(pixels)
    return path


def write_job(folder: Path, entry: dict[str, Any], **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump({"degrees": COMMON | entry}))
    config = {
        "output": str(folder / "out"),
        "source": "degrees",
        "model": MODEL,
        "device": "cpu",
        "queries": [{"name": "waves", "text": "waves on a shore"}],
        "grid": {"cell_m": 120, "block_cells": 32},
        "patches": {"stride_m": 240},
        **changes,
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    return folder / "run.yaml"


def mapped(
    folder: Path, monkeypatch: pytest.MonkeyPatch, entry: dict[str, Any], **changes: Any
) -> tuple[NDArray[np.floating], NDArray[np.uint8]]:
    """Run, and return vectors and the picture of the imagery."""
    path = write_job(folder, entry, **changes)
    monkeypatch.chdir(folder)
    out = run(path).folder
    store = EmbeddingsStore.open(out / "embeddings.zarr")
    with rasterio.open(out / "imagery.tif") as picture:
        return store.read_rows(slice(0, store.grid.shape[0]))[0], picture.read([1, 2, 3])


def files(*paths: Path) -> dict[str, Any]:
    return {"type": "raster", "uri": [str(path) for path in paths]}


def cube(path: Path, west: float, pixels: NDArray[np.uint8], north: float) -> dict[str, Any]:
    rows, cols = pixels.shape[1:]
    lon, lat = west + (np.arange(cols) + 0.5) * STEP, north - (np.arange(rows) + 0.5) * STEP
    bands = {
        name: (("lat", "lon"), band)
        for name, band in zip(("red", "green", "blue"), pixels, strict=True)
    }
    write_cube(xr.Dataset(bands, {"lat": lat, "lon": lon}), path)
    return {"type": "zarr", "uri": str(path), "crs": "EPSG:4326"}


def test_0_to_360_is_what_180_to_180_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "lon_0_to_360.tif"
    region = [-54.6, -25.46, -54.54, -25.4]
    found = mapped(tmp_path / "a", monkeypatch, files(DATA / name), region=region)
    usual = shifted(name, tmp_path / "usual", -360.0)
    expected = mapped(tmp_path / "b", monkeypatch, files(usual), region=region)

    assert np.isfinite(expected[0][..., 0]).mean() > 0.8
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_a_cube_of_0_to_360_is_what_180_to_180_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (3, 100, 100), dtype=np.uint8)
    blocks = []
    for name, west in (("a", 305.5), ("b", -54.5)):
        entry = COMMON | cube(tmp_path / f"{name}.zarr", west, pixels, -25.0)
        bounds = (752_000.0, 7_229_000.0, 756_200.0, 7_233_200.0)
        blocks.append(open_source(ZarrEntry.model_validate(entry)).read(bounds, (140, 140), UTM))
    found, expected = blocks
    assert 0.3 < expected.valid.mean() < 1.0
    np.testing.assert_array_equal(found.valid, expected.valid)
    # Steps along coordinates differ by their rounding, below 1e-13 degrees: a level of 8 bit.
    assert np.abs(found.pixels.astype(int) - expected.pixels).max() <= 1


@pytest.mark.parametrize("kind", ["raster", "cube"])
def test_both_sides_of_180_are_mapped(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the same pixels around Greenwich, in the same projection around another meridian."""

    def entry(degrees: float) -> dict[str, Any]:
        path = shifted("across_180.tif", tmp_path / "files", degrees)
        if kind == "raster":
            return files(path)
        with rasterio.open(path) as source:
            pixels, t = source.read(), source.transform
        return cube(tmp_path / f"{degrees:g}.zarr", t.c, pixels, t.f)

    maps = []
    for degrees, lon in ((0.0, 180), (-180.0, 0)):
        crs = f"+proj=laea +lon_0={lon} +lat_0=-16.43 +datum=WGS84 +units=m"
        grid = {"cell_m": 120, "block_cells": 32, "crs": crs}
        maps.append(mapped(tmp_path / str(lon), monkeypatch, entry(degrees), grid=grid))
    found, expected = maps
    assert found[0].shape == expected[0].shape
    seen = np.isfinite(expected[0][..., 0])
    assert seen.mean() > 0.95
    np.testing.assert_array_equal(np.isfinite(found[0][..., 0]), seen)
    # 180 and 0 degrees are apart by floats: a level of 8 bit where one lies between two.
    assert np.abs(found[1].astype(int) - expected[1]).max() <= 1
    np.testing.assert_allclose(found[0][seen], expected[0][seen], atol=2 / 255)


def test_halves_on_either_side_are_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, region = "across_180.tif", [179.972, -16.458, -179.972, -16.402]
    west = shifted(name, tmp_path / "files", 0.0, slice(0, 100))
    east = shifted(name, tmp_path / "files", -360.0, slice(100, 200))
    found = mapped(tmp_path / "a", monkeypatch, files(DATA / name), region=region)
    halves = mapped(tmp_path / "b", monkeypatch, files(west, east), region=region)
    # Files end at 180, and kernels with them: the columns there, and one more on either side.
    column = found[1].shape[2] // 2
    away = np.abs(np.arange(found[1].shape[2]) - column) > 2
    assert np.abs(found[1][..., away].astype(int) - halves[1][..., away]).max() <= 1
    np.testing.assert_array_equal(np.isfinite(found[0][..., 0]), np.isfinite(halves[0][..., 0]))


@pytest.mark.parametrize(
    ("name", "inside", "half_outside"),
    [
        (
            "across_180.tif",
            [179.975, -16.455, -179.975, -16.405],
            [179.98, -16.45, -179.92, -16.41],
        ),
        ("lon_0_to_360.tif", [-54.59, -25.45, -54.55, -25.41], [-54.58, -25.45, -54.50, -25.41]),
    ],
)
def test_the_plan_says_what_is_seen(
    name: str,
    inside: list[float],
    half_outside: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(DATA / name, tmp_path / "scene.tif")
    entry = {"type": "raster", "uri": "scene.tif"}

    def plan(region: list[float]) -> Any:
        return make_plan(resolve(load_run_config(write_job(tmp_path, entry, region=region))))

    whole, part = plan(inside), plan(half_outside)
    assert not [line for line in whole.warnings if "outside the imagery" in line]
    assert [line for line in part.warnings if line.startswith("50.0% of the region lies outside")]
    # Three bytes a pixel, and the halos of up to four blocks.
    west, south, east, north = inside
    pixels = ((east - west) % 360.0 / STEP) * ((north - south) / STEP)
    assert 3 * pixels <= whole.read_bytes <= 3 * 200 * 200 * 2
