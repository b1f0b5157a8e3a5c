"""Two maps compared: by the command, as a user meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fixtures_cli import call
from fixtures_maps import make_grid, make_layers
from PIL import Image
from pyproj import Transformer
from rio_cogeo.cogeo import cog_validate

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
        "evaluate", "compare-maps", folder / "out", folder / "other.tif", "--observations", points,
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
        # What a GIS needs: the maps' CRS, no data told apart, and what was taken from what.
        with rasterio.open(folder / "other.tif") as map_:
            assert source.crs == map_.crs
            assert source.crs.to_epsg() == int(str(GRID.crs).split(":")[1])
        assert np.isnan(source.nodata)
        assert source.read_masks(1).astype(bool).tolist() == np.isfinite(expected).tolist()
        assert not source.read_masks(1).all()
        assert source.dtypes == ("float32",)
        tags = source.tags()
        assert source.descriptions[0] == tags["TITLE"]
        assert "other.tif" in tags["SECOND"]
        assert "(out) less " in tags["TITLE"]
        assert tags["METHOD"] == "difference"
    valid, errors, _ = cog_validate(out / "difference.tif", strict=True, quiet=True)
    assert (valid, errors) == (True, [])
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
        "evaluate", "compare-maps", folder / "out", folder / "other.tif",
        "--observations", presences, "--block-km", 2, "--samples", 10, "-o", out,
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "report.json").read_text())
    assert next(iter(found["observations"]["metrics"])) == "Boyce index"


def test_training_places_are_dropped_from_a_comparison(folder: Path, tmp_path: Path) -> None:
    cells = np.asarray(LAYER.probability)[0]
    random = np.random.default_rng(3)
    rows, cols = np.nonzero(np.isfinite(cells))
    chosen = random.choice(len(rows), 300, replace=False)
    to_degrees = Transformer.from_crs(str(GRID.crs), "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(GRID.x[cols[chosen]], GRID.y[rows[chosen]])
    lines = [f"{x},{y},{i % 2}" for i, (x, y) in enumerate(zip(lon, lat, strict=True))]
    (tmp_path / "points.csv").write_text("\n".join(["lon,lat,present", *lines, lines[0], "0,0,1"]))
    (tmp_path / "trained.csv").write_text(f"lon,lat\n{lon[0]},{lat[0]}\n")

    def compared(*more: object) -> tuple[dict[str, int], str]:
        code = call(
            "evaluate", "compare-maps", folder / "out", folder / "other.tif",
            "--observations", tmp_path / "points.csv", "--block-km", 2, "--samples", 5,
            "-o", tmp_path / "report", *more,
        )  # fmt: skip
        assert code == 0
        found = json.loads((tmp_path / "report" / "report.json").read_text())
        return found["observations"]["points"], (tmp_path / "report" / "report.md").read_text()

    every, said = compared()
    assert every["presences used"] + every["absences used"] == 301
    assert "No training points were given" in said
    assert "1 observations repeat the place" in said
    near = near_km(lon, lat, lon[0], lat[0]) <= 3
    some, said = compared(
        "--training-points", tmp_path / "trained.csv", "--training-km", 3, "--unique"
    )
    # The first point lies there twice, and itself on the training point.
    assert some["within 3 km of a training point"] == near.sum() + 1
    assert some["repeats of a place already counted"] == 0
    assert some["presences used"] + some["absences used"] == 300 - near.sum()
    assert f"| within 3 km of a training point | {near.sum() + 1} |" in said
    assert "No training points" not in said
    unique, _ = compared("--unique")
    assert unique["repeats of a place already counted"] == 1


def near_km(lon: Any, lat: Any, at_lon: float, at_lat: float) -> Any:
    """Kilometres on a sphere, by the haversine formula."""
    a, b = np.radians(lat), np.radians(at_lat)
    half = np.sin((a - b) / 2) ** 2
    half = half + np.cos(a) * np.cos(b) * np.sin(np.radians(lon - at_lon) / 2) ** 2
    return 2 * 6371.0088 * np.arcsin(np.sqrt(half))


def test_maps_that_share_a_part(folder: Path, tmp_path: Path) -> None:
    west, south, east, north = GRID.bounds
    size = GRID.cell_m
    moved = MapGrid.from_bounds(
        (west + 9 * size, south - 7 * size, east + 9 * size, north - 7 * size), GRID.crs, size, 32
    )
    write_cog(tmp_path / "moved.tif", LAYER, moved, {})
    out = tmp_path / "report"
    code = call(
        "evaluate",
        "compare-maps",
        folder / "out",
        tmp_path / "moved.tif",
        "--samples",
        5,
        "-o",
        out,
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
        ((folder / "out", tmp_path / "none.tif"), "models: evaluate compare-models"),
        ((folder / "out", folder / "out", "--layer", "x"), "no layer 'x'"),
        (("a", "b", "--training-points", "p.csv"), "--training-points without --observations"),
        (("a", "b", "--effort", "p.csv"), "--effort without --observations"),
    ):
        assert call("evaluate", "compare-maps", *arguments, "-o", tmp_path / "report") == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(("a", "b"), "compare-maps"), (("none-such", "b", "--data", "d"), "compare-models")],
)
def test_the_old_spelling_says_the_new_one(
    arguments: tuple[str, ...], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("evaluate", "compare", *arguments, "-o", tmp_path / "report") == 2
    old, new = capsys.readouterr().err.splitlines()
    assert call("evaluate", name, *arguments, "-o", tmp_path / "report") == 2
    assert f"evaluate {name}" in old
    assert capsys.readouterr().err == f"{new}\n"
