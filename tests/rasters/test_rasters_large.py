"""Maps larger than what may be held in memory: peak memory of a process that writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from fixtures_maps import make_grid, make_layers
from rio_cogeo.cogeo import cog_validate

from s2s_map.rasters.building import MapsBuilding
from s2s_map.rasters.cog import read_overview
from s2s_map.rasters.maps import map_regions, read_maps, write_maps
from s2s_map.rasters.maps_schema import variable

SCRIPT = Path(__file__).with_name("write_large.py")


def written(folder: Path, side: int) -> int:
    done = subprocess.run(
        [sys.executable, SCRIPT, folder, str(side)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.strip().splitlines()[-1])


def check(path: Path, side: int) -> None:
    assert cog_validate(path, strict=True) == (True, [], [])
    with rasterio.open(path) as source:
        assert source.shape == (side, side)
        corner = source.read(1, window=((side - 60, side), (side - 50, side)))
        rows, columns = np.ogrid[side - 60 : side, side - 50 : side]
        expected = (np.sin(columns / 97) * np.cos(rows / 71)).astype(np.float32)
        expected[(columns + rows) % 1000 < 100] = np.nan
        np.testing.assert_array_equal(corner, expected)
        assert float(source.tags(1)["STATISTICS_VALID_PERCENT"]) == pytest.approx(90, abs=1.5)
        assert float(source.tags(2)["STATISTICS_MINIMUM"]) >= -1
    small = read_overview(path, 700)
    assert max(small.shape) <= 700
    assert np.isfinite(small).any()


def test_memory_does_not_grow_with_the_map(tmp_path: Path) -> None:
    peaks = {}
    for side in (1500, 4500):
        (tmp_path / str(side)).mkdir()
        peaks[side] = written(tmp_path / str(side), side)
        check(tmp_path / str(side) / "waves.tif", side)
    # Both bands of the larger one hold 162 MB; GDAL's cache and one strip may fill meanwhile.
    assert peaks[4500] < 1000
    assert peaks[4500] - peaks[1500] < 450, peaks


@pytest.mark.slow  # and only where it is asked for
@pytest.mark.skipif("S2S_MAP_LARGE" not in os.environ, reason="takes minutes and 15 GB of disk")
@pytest.mark.timeout(1800)
def test_a_raster_of_40_000_squared_in_2_gb(tmp_path: Path) -> None:
    peak = written(tmp_path, 40_000)
    check(tmp_path / "waves.tif", 40_000)
    assert peak <= 2000


def test_unfinished_maps_are_gone_on_with_only_if_they_are_the_same(tmp_path: Path) -> None:
    grid = make_grid((600, 530))
    building = MapsBuilding(tmp_path / "maps.zarr", ("a", "b"), grid, ("any",))
    building.begin({"query": 1}, 3)
    regions = list(map_regions(grid))
    assert building.missing_regions() == regions
    variable(building.path, "probability")[0, 0, :10, :10] = 0.5
    building.region_done(regions[0])
    building.begin({"query": 1}, 3)
    assert building.missing_regions() == regions[1:]
    assert building.cells("a", "probability")[0, 0, 0] == 0.5
    building.begin({"query": 2}, 3)
    assert building.missing_regions() == regions
    assert np.isnan(building.cells("a", "probability")[0, 0, 0])
    assert not (tmp_path / "maps.zarr").exists()


@pytest.mark.parametrize(("before", "after"), [(3, 3), (2, 2), (2, 3), (3, 2)])
def test_layers_are_taken_over_as_they_are(tmp_path: Path, before: int, after: int) -> None:
    grid = make_grid((600, 530))
    layers = make_layers(grid, count=3, slots=2)
    path = tmp_path / "maps.zarr"
    write_maps(path, layers, grid, ["a", "b"], {}, before)  # type: ignore[arg-type]
    kept = [layer for layer in read_maps(path) if layer.name != "concept-0"]
    building = MapsBuilding(path, ("new", "concept-2", "concept-1"), grid, ("a", "b"))
    building.begin({}, after)  # type: ignore[arg-type]
    building.carry(kept)
    for layer in layers[1:]:
        for name in ("probability", "similarity"):
            there = np.asarray(building.cells(layer.name, name))
            np.testing.assert_array_equal(there, getattr(layer, name))
    assert np.isnan(np.asarray(building.cells("new", "probability"))).all()
