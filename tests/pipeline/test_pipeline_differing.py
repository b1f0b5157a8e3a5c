"""Two maps compared: by the command, as a user meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from fixtures_cli import call
from fixtures_maps import make_grid, make_layers
from PIL import Image
from pyproj import Transformer

from s2s_map.rasters.cog import write_cog
from s2s_map.rasters.maps import write_maps
from s2s_map.tiling.grid import MapGrid

GRID = make_grid()
LAYER = make_layers(GRID)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and the same map as a GeoTIFF, a little lower and with noise."""
    place = tmp_path_factory.mktemp("maps")
    write_maps(place / "out" / "maps.zarr", [LAYER], GRID, ["any"], {})
    noise = np.random.default_rng(0).normal(scale=0.3, size=LAYER.shape)
    other = np.clip(np.asarray(LAYER.probability) - 0.1 + noise, 0, 1).astype(np.float32)
    write_cog(place / "other.tif", replace(LAYER, probability=other), GRID, {})
    return place


def test_difference_of_two_maps(folder: Path, tmp_path: Path) -> None:
    cells = np.asarray(LAYER.probability)[0]
    random = np.random.default_rng(1)
    row, col = (v[random.choice(len(v), 500)] for v in [np.nonzero(np.isfinite(cells))][0])
    to_degrees = Transformer.from_crs(str(GRID.crs), "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(GRID.x[col], GRID.y[row])
    present = random.random(500) < cells[row, col]
    lines = [f"{x},{y},{int(p)}" for x, y, p in zip(lon, lat, present, strict=True)]
    points = tmp_path / "points.csv"
    points.write_text("\n".join(["lon,lat,present", *lines]))
    out = tmp_path / "report"
    code = call(
        "evaluate", "compare", folder / "out", folder / "other.tif", "--observations", points,
        "--block-km", 2, "--samples", 60, "-o", out,
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "report.json").read_text())
    with rasterio.open(folder / "other.tif") as source:
        expected = cells - source.read(1)
    with rasterio.open(out / "difference.tif") as source:
        assert source.shape == GRID.shape
        assert source.transform == GRID.transform
        np.testing.assert_allclose(source.read(1), expected, atol=1e-6)
    mean = found["difference"]["mean difference"]
    assert mean["value"] == pytest.approx(np.nanmean(expected), abs=1e-3)
    assert mean["low"] < mean["value"] < mean["high"]
    assert 0.3 < found["difference"]["rank correlation"]["value"] < 0.99
    auc = found["observations"]["metrics"]["AUC"]
    # Drawn together, the difference is surer than the sides are.
    assert auc["difference"]["low"] > 0
    assert auc["difference"]["value"] == pytest.approx(
        auc["first"]["value"] - auc["second"]["value"]
    )
    with Image.open(out / "difference.png") as picture:
        assert picture.width > 400
    presences = tmp_path / "presences.csv"
    heard = [line for line in lines if line.endswith("1")]
    presences.write_text("\n".join(["lon,lat,x", *heard]))
    code = call(
        "evaluate", "compare", folder / "out", folder / "other.tif", "--observations", presences,
        "--block-km", 2, "--samples", 10, "-o", out,
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "report.json").read_text())
    assert next(iter(found["observations"]["metrics"])) == "Boyce index"


def test_maps_that_share_a_part(folder: Path, tmp_path: Path) -> None:
    west, south, east, north = GRID.bounds
    size = GRID.cell_m
    moved = MapGrid.from_bounds(
        (west + 9 * size, south - 7 * size, east + 9 * size, north - 7 * size), GRID.crs, size, 32
    )
    write_cog(tmp_path / "moved.tif", LAYER, moved, {})
    out = tmp_path / "report"
    code = call(
        "evaluate", "compare", folder / "out", tmp_path / "moved.tif", "--samples", 5, "-o", out
    )
    assert code == 0
    cells = np.asarray(LAYER.probability)[0]
    with rasterio.open(out / "difference.tif") as source:
        assert source.shape == (GRID.shape[0] - 7, GRID.shape[1] - 9)
        np.testing.assert_allclose(source.read(1), cells[7:, 9:] - cells[:-7, :-9], atol=1e-6)


def test_bad_input_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_grid(cell_m=90)
    write_cog(tmp_path / "fine.tif", LAYER, other, {})
    for arguments, said in (
        ((folder / "out", tmp_path / "fine.tif"), "maps of different cells: 180 x 180 in EPSG:32"),
        ((folder / "out", tmp_path / "none.tif"), "to compare models, --data"),
        ((folder / "out", folder / "out", "--layer", "x"), "no layer 'x'"),
    ):
        assert call("evaluate", "compare", *arguments, "-o", tmp_path / "report") == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
    assert not (tmp_path / "report").exists()
