"""Finished maps against observations: by the command, as a user meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from fixtures_cli import call
from fixtures_maps import make_grid, make_layers
from numpy.typing import NDArray
from PIL import Image
from pyproj import Transformer
from rasterio.transform import from_origin

from s2s_map.rasters.cog import write_cog
from s2s_map.rasters.maps import write_maps
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.tiling.grid import MapGrid

GRID = make_grid()


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with two layers; the second has the first one's values upside down."""
    folder = tmp_path_factory.mktemp("run") / "out"
    first, second = make_layers(GRID)
    values = np.asarray(first.probability)
    layers = [first, replace(second, probability=1 - values)]
    write_maps(folder / "maps.zarr", layers, GRID, ["any"], {})
    write_cog(folder / "concept-0.tif", first, GRID, {})
    return folder


def places(
    grid: MapGrid, rows: NDArray[np.intp], cols: NDArray[np.intp]
) -> list[tuple[float, float]]:
    lon, lat = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True).transform(
        grid.x[cols], grid.y[rows]
    )
    return list(zip(lon, lat, strict=True))


def draw(
    layer: ConceptLayer, count: int, by_value: bool, seed: int = 0
) -> list[tuple[float, float]]:
    """Places of cells with data, all as likely or as likely as the layer says."""
    cells = np.nan_to_num(np.asarray(layer.probability)[0])
    weight = (cells if by_value else (cells > 0)).ravel().astype(float)
    chosen = np.random.default_rng(seed).choice(len(weight), count, p=weight / weight.sum())
    return places(GRID, *np.unravel_index(chosen, cells.shape))


def write(path: Path, rows: list[tuple[float, ...]], heading: str = "lon,lat") -> Path:
    lines = [",".join(f"{v:.7g}" if i > 1 else f"{v:.7f}" for i, v in enumerate(r)) for r in rows]
    path.write_text("\n".join([heading, *lines]) + "\n")
    return path


def evaluate(*arguments: object, output: Path) -> dict[str, object]:
    options = ("--samples", 40, "--block-km", 2, "--effort-km", 1, "--background", 2000)
    assert call("evaluate", "map", *arguments, *options, "-o", output) == 0
    found: dict[str, object] = json.loads((output / "report.json").read_text())
    return found


def metric(found: dict, name: str) -> float:  # type: ignore[type-arg]
    one = found["metrics"][name]
    held = one["low"] <= one["value"] <= one["high"]
    said = any(f"does not hold the value of {name}" in note for note in found["notes"])
    assert held != said
    return float(one["value"])


def test_presences_only(out: Path, tmp_path: Path) -> None:
    layer = make_layers(GRID)[0]
    heard = write(tmp_path / "heard.csv", draw(layer, 400, by_value=True))
    effort = write(tmp_path / "effort.csv", draw(layer, 400, by_value=False, seed=1))
    good = evaluate(
        out, "--observations", heard, "--layer", "concept-0", "--effort", effort,
        output=tmp_path / "good",
    )  # fmt: skip
    assert list(good["metrics"]) == ["Boyce index", "AUC against background"]
    assert metric(good, "Boyce index") > 0.8
    assert metric(good, "AUC against background") > 0.6
    assert "400 points of effort.csv" in good["background"]
    text = (tmp_path / "good" / "report.md").read_text()
    assert "| Boyce index | " in text
    assert "No training points were given" in text
    assert "![boyce](boyce.png)" in text
    with Image.open(tmp_path / "good" / "boyce.png") as picture:
        assert picture.width > 400
    bad = evaluate(
        out, "--observations", heard, "--layer", "concept-1", "--effort", effort,
        output=tmp_path / "bad",
    )  # fmt: skip
    assert metric(bad, "Boyce index") < -0.8
    # The presences as their own background leave nothing to tell.
    alone = evaluate(out / "concept-0.tif", "--observations", heard, output=tmp_path / "alone")
    assert metric(alone, "AUC against background") < metric(good, "AUC against background")
    assert any("No effort points" in note for note in alone["notes"])


def test_presences_and_absences_away_from_training(out: Path, tmp_path: Path) -> None:
    layer = make_layers(GRID)[0]
    every = draw(layer, 600, by_value=False)
    cells = np.asarray(layer.probability)[0]
    to_map = Transformer.from_crs("EPSG:4326", str(GRID.crs), always_xy=True)
    x, y = to_map.transform(*zip(*every, strict=True))
    col = ((np.asarray(x) - GRID.bounds[0]) // GRID.cell_m).astype(int)
    row = ((GRID.bounds[3] - np.asarray(y)) // GRID.cell_m).astype(int)
    present = np.random.default_rng(5).random(600) < cells[row, col]
    rows = [(*place, int(p)) for place, p in zip(every, present, strict=True)]
    off, empty = (0.0, 0.0, 1), (*places(GRID, np.array([0]), np.array([0]))[0], 1)
    table = write(tmp_path / "both.csv", [*rows, off, empty], "lon,lat,present")
    with table.open("a") as file:
        file.write("somewhere,47,1\n")
    trained = write(tmp_path / "trained.csv", every[:1])
    found = evaluate(
        out, "--observations", table, "--layer", "concept-0",
        "--training-points", trained, "--training-km", "3", output=tmp_path / "report",
    )  # fmt: skip
    assert list(found["metrics"]) == ["AUC", "average precision"]
    assert metric(found, "AUC") > 0.7
    assert metric(found, "average precision") > present.mean()
    counts = found["points"]
    near = counts["within 3 km of a training point"]
    assert 20 < near < 400
    assert counts["read"] == 603
    assert counts["bad rows"] == 1
    assert counts["outside the map or on cells without data"] in (1, 2)
    used = counts["presences used"] + counts["absences used"]
    assert used == 602 - near - counts["outside the map or on cells without data"]
    assert sum(found["reliability"]["count"]) == used
    assert found["reliability"]["expected calibration error"] < 0.12
    assert (tmp_path / "report" / "reliability.png").is_file()
    report = (tmp_path / "report" / "report.md").read_text()
    assert "| 603 | lon and lat are not numbers |" in report


ROW = np.array([[0.95, 0.85, 0.75, 0.65, 0.35, 0.05, np.nan]], np.float32)
WEST, NORTH = 8.0, 47.0


@pytest.fixture
def row(tmp_path: Path) -> Path:
    """A map of seven cells of a hundredth of a degree; the last has no data."""
    path = tmp_path / "row.tif"
    place = {"crs": "EPSG:4326", "transform": from_origin(WEST, NORTH, 0.01, 0.01)}
    size = {"width": 7, "height": 1, "count": 1, "dtype": "float32", "nodata": np.nan}
    with rasterio.open(path, "w", driver="GTiff", **size, **place) as file:
        file.write(ROW, 1)
    return path


def on_row(columns: list[int], present: list[int] | None = None) -> list[tuple[float, ...]]:
    every = [(WEST + 0.01 * column + 0.005, NORTH - 0.005) for column in columns]
    if present is None:
        return list(every)
    return [(*place, p) for place, p in zip(every, present, strict=True)]


def test_metrics_by_hand(row: Path, tmp_path: Path) -> None:
    rows = on_row([0, 1, 2, 3, 4, 5, 6], [1, 1, 0, 1, 0, 0, 1])
    off = [(WEST - 0.02, NORTH - 0.005, 1), (WEST + 0.005, NORTH + 0.02, 0)]
    points = write(tmp_path / "points.csv", [*rows, *off], "lon,lat,present")
    out = tmp_path / "report"
    code = call(
        "evaluate", "map", row, "--observations", points, "--block-km", 50, "--samples", 9,
        "-o", out,
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "report.json").read_text())
    assert found["points"] == {
        "read": 9, "bad rows": 0, "outside the map or on cells without data": 3,
        "presences used": 3, "absences used": 3,
    }  # fmt: skip
    # Of 9 pairs one is the wrong way round: absence 0.75 above presence 0.65.
    auc = found["metrics"]["AUC"]
    assert auc["value"] == pytest.approx(8 / 9)
    # Precision where each presence is met: 1/1, 2/2, 3/4.
    assert found["metrics"]["average precision"]["value"] == pytest.approx((1 + 1 + 0.75) / 3)
    errors = [0.05, 0.15, 0.75, 0.35, 0.35, 0.05]
    assert found["reliability"]["brier"] == pytest.approx(sum(e * e for e in errors) / 6)
    assert found["reliability"]["predicted"] == pytest.approx([0.05, 0.35, 0.65, 0.75, 0.85, 0.95])
    assert found["reliability"]["observed"] == [0, 0, 1, 0, 1, 1]
    # All lie in one square of 50 km, which is always drawn: no interval, and it is said.
    assert found["squares"] == 1
    assert (auc["low"], auc["high"]) == (auc["value"], auc["value"])
    assert any("lie in 1 squares of 50 km: too few" in note for note in found["notes"])
    code = call(
        "evaluate", "map", row, "--observations", points, "--block-km", 0.3, "--samples", 200,
        "-o", out,
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "report.json").read_text())
    assert found["squares"] == 6
    assert found["metrics"]["AUC"]["low"] < 8 / 9 < found["metrics"]["AUC"]["high"]


def test_how_uncertain_a_place_may_be_is_an_option(row: Path, tmp_path: Path) -> None:
    vague = [50.0, 900.0, 1500.0, 30_000.0]
    rows = [
        (*place, metres)
        for place, metres in zip(on_row([0, 1, 2, 3], [1, 0, 1, 0]), vague, strict=True)
    ]
    heading = "lon,lat,present,coordinateUncertaintyInMeters"
    points = write(tmp_path / "points.csv", rows, heading)
    for asked, bad in ((), 2), (("--max-uncertainty", 1500), 1):
        out = tmp_path / f"report-{bad}"
        said = ("--observations", points, "--samples", 2, "-o", out, *asked)
        assert call("evaluate", "map", row, *said) == 0
        found = json.loads((out / "report.json").read_text())
        assert found["points"]["bad rows"] == bad
        assert found["settings"]["max_uncertainty_m"] == (asked[1] if asked else 1000)


def test_boyce_by_hand(row: Path, tmp_path: Path) -> None:
    # Effort where no spread leaves the cells: the background has the effort's values, exactly.
    effort = write(tmp_path / "effort.csv", on_row([0, 1, 2, 3, 4, 5]))
    heard = write(tmp_path / "heard.csv", on_row([0] * 6 + [1] * 5 + [2] * 4 + [3] * 3 + [4] * 2))
    out = tmp_path / "report"
    code = call(
        "evaluate", "map", row, "--observations", heard, "--effort", effort, "--effort-km", 0,
        "--background", 6000, "--samples", 5, "-o", out,
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "report.json").read_text())
    # The higher the value, the more often it was found than expected: 1.8, 1.5, 1.2, 0.9, 0.6, 0.
    assert found["metrics"]["Boyce index"]["value"] == pytest.approx(1, abs=0.01)
    ratios = {round(r, 1) for r in found["boyce_curve"]["ratio"] if r is not None}
    assert {1.8, 0.0} <= ratios
    below = np.array([5, 4, 3, 2, 1, 0])  # background cells below each presence's
    weights = np.array([6, 5, 4, 3, 2, 0]) / 20
    auc = found["metrics"]["AUC against background"]["value"]
    assert auc == pytest.approx(float(weights @ (below + 0.5) / 6), abs=0.01)
    assert any("15 observations repeat the place" in note for note in found["notes"])
    once = tmp_path / "once"
    code = call(
        "evaluate", "map", row, "--observations", heard, "--effort", effort, "--effort-km", 0,
        "--unique", "--samples", 5, "-o", once,
    )  # fmt: skip
    assert code == 0
    found = json.loads((once / "report.json").read_text())
    assert found["points"]["repeats of a place already counted"] == 15
    assert found["points"]["presences used"] == 5


def test_no_background_where_observations_are_dropped(row: Path, tmp_path: Path) -> None:
    # Cells are 760 m wide: at 500 m the training point takes the last one with data, alone.
    effort = write(tmp_path / "effort.csv", on_row([0, 1, 2, 3, 4, 5]))
    heard = write(tmp_path / "heard.csv", on_row([0] * 4 + [1] * 3 + [2] * 2 + [3, 5]))
    trained = write(tmp_path / "trained.csv", on_row([5]))
    out = tmp_path / "report"
    code = call(
        "evaluate", "map", row, "--observations", heard, "--effort", effort, "--effort-km", 0,
        "--training-points", trained, "--training-km", 0.5, "--background", 6000, "--samples", 5,
        "-o", out,
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "report.json").read_text())
    assert found["points"]["within 0.5 km of a training point"] == 1
    below = np.array([4, 3, 2, 1])  # of the five cells that are left
    auc = float(np.array([4, 3, 2, 1]) / 10 @ (below + 0.5) / 5)
    assert found["metrics"]["AUC against background"]["value"] == pytest.approx(auc, abs=0.01)


def test_swapped_and_projected_coordinates(
    row: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = on_row([0, 1, 2, 3])
    swapped = write(tmp_path / "swapped.csv", [(lat, lon) for lon, lat in good])
    command = ("evaluate", "map", row, "--samples", 3, "-o", tmp_path / "report")
    assert call(*command, "--observations", swapped) == 2
    said = capsys.readouterr().err
    assert "lon and lat seem to be swapped: 4 of the 4 points off the map lie on it" in said
    metres = write(tmp_path / "metres.csv", [(2_600_000.0, 1_200_000.0)])
    assert call(*command, "--observations", metres) == 2
    assert "if they are metres of a projection, give a GeoPackage" in capsys.readouterr().err
    some = write(tmp_path / "some.csv", [*good, (good[0][1], good[0][0])])
    assert call(*command, "--observations", some) == 0
    assert (
        "Check the table: lon and lat seem to be swapped: 1 of the 1"
        in (tmp_path / "report" / "report.md").read_text()
    )
    # Another CRS in the file itself is read as such.
    frame = geopandas.GeoDataFrame(
        geometry=geopandas.points_from_xy(*zip(*good, strict=True)), crs="EPSG:4326"
    )
    frame.to_crs("EPSG:2056").to_file(tmp_path / "swiss.gpkg")
    assert call(*command, "--observations", tmp_path / "swiss.gpkg") == 0
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert found["points"]["presences used"] == 4


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("a,b\n1,2\n", [], "lacks the columns lon, lat"),
        ("lon,lat\n0,0\n", [], "none of the points of p.csv can be compared with the map"),
        ("lon,lat,present\nHERE,0\n", [], "1 absences and no presence left"),
        ("lon,lat\nHERE\n", ["--layer", "none"], "no layer 'none' in"),
        ("lon,lat\nHERE\n", ["--slot", "05"], "no time slot '05' in"),
        ("lon,lat\nHERE\n", ["--training-points", "p.csv"], "within 10 km of a training point"),
    ],
)
def test_bad_input_is_one_line(
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    here = ",".join(f"{v:.6f}" for v in draw(make_layers(GRID)[0], 1, by_value=False)[0])
    Path("p.csv").write_text(text.replace("HERE", here))
    given = ["--layer", "concept-0", *options]
    code = call("evaluate", "map", out, "--observations", "p.csv", *given, "-o", "report")
    err = capsys.readouterr().err
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert not Path("report").exists()


def test_maps_that_are_none(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = write(tmp_path / "p.csv", [(8.0, 47.0)])
    for place, said in ((tmp_path, "maps.zarr"), (points, "does not open as a map")):
        assert call("evaluate", "map", place, "--observations", points, "-o", tmp_path / "r") == 2
        assert said in capsys.readouterr().err
    assert call("evaluate", "map", out, "--observations", points, "-o", tmp_path) == 2
    assert "holds something else than a report" in capsys.readouterr().err
    assert call("evaluate", "map", out, "--observations", points, "-o", tmp_path / "r") == 2
    assert "2 layers in" in capsys.readouterr().err
