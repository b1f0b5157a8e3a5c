"""What is said or refused before a run begins to work: catalogs, places, sizes, times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import rasterio
import yaml
from fixtures_cli import call
from fixtures_job import write_job
from fixtures_plain_model import write_plain_job
from rasterio.control import GroundControlPoint

from s2s_map.config.run import RunConfig, load_run_config
from s2s_map.errors import CatalogError, ImageryError, RegionError
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.explain import explain
from s2s_map.pipeline.verbs.plan import long_run
from s2s_map.pipeline.verbs.run import run


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without a catalog, as that of cron."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    return folder


def test_the_catalog_beside_the_config_comes_first(elsewhere: Path, tmp_path: Path) -> None:
    write_plain_job(tmp_path / "job", blocks=1)
    beside = tmp_path / "job" / "data_catalog.yaml"
    job = resolve(load_run_config(tmp_path / "job" / "job.yaml"))
    assert job.entry.title == "Noise"
    assert job.config.catalog == str(beside)
    entry = yaml.safe_load(beside.read_text())["noise"]
    other = {"noise": {**entry, "title": "Other", "uri": str(tmp_path / "job" / "scene.tif")}}
    (elsewhere / "data_catalog.yaml").write_text(yaml.safe_dump(other))
    assert resolve(load_run_config(tmp_path / "job" / "job.yaml")).entry.title == "Noise"
    given = resolve(load_run_config(tmp_path / "job" / "job.yaml"), ["data_catalog.yaml"])
    assert given.entry.title == "Other"
    beside.unlink()
    assert resolve(load_run_config(tmp_path / "job" / "job.yaml")).entry.title == "Other"


def test_where_was_looked_is_said(elsewhere: Path, tmp_path: Path) -> None:
    job = write_plain_job(tmp_path / "job", blocks=1)
    beside = tmp_path / "job" / "data_catalog.yaml"
    (tmp_path / "job" / "job.yaml").write_text(yaml.safe_dump({**job, "source": "absent"}))
    with pytest.raises(CatalogError) as error:
        resolve(load_run_config(tmp_path / "job" / "job.yaml"))
    assert f"{beside}, the shipped catalog" in str(error.value)
    assert "catalog: or --catalog" in str(error.value)


def test_a_run_is_explained_from_elsewhere(elsewhere: Path, tmp_path: Path) -> None:
    out = run(write_job(tmp_path / "job")).folder
    assert json.loads((Path(str(out)) / "run.json").read_text())["config"]["catalog"]
    assert explain(out, -55.9803, -25.3137, "waves on a shore").similarity


def test_query_and_explain_of_a_run_elsewhere(
    elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_job(tmp_path / "job")
    assert call("run", "../job/job.yaml") == 0
    out = str(tmp_path / "job" / "out")
    assert call("query", out, "rain on a tin roof") == 0
    assert call("explain", out, "--query", "rain", "--", "-55.9803", "-25.3137") == 0
    capsys.readouterr()
    (tmp_path / "job" / "data_catalog.yaml").unlink()
    assert call("query", out, "wind") == 0
    assert call("explain", out, "--query", "wind", "--", "-55.9803", "-25.3137") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "data_catalog.yaml" in said
    assert "Traceback" not in said


def test_a_palette_is_named_with_the_command_that_expands_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plain_job(tmp_path / "job", blocks=1)
    scene, plain = tmp_path / "job" / "scene.tif", tmp_path / "plain.tif"
    scene.rename(plain)
    # As of a map of land cover, or a scanned one: numbers, and a colour for each.
    with rasterio.open(plain) as image:
        profile = {**image.profile, "count": 1, "photometric": "palette"}
        numbers = image.read(1) // 64
    with rasterio.open(scene, "w", **profile) as image:
        image.write(numbers, 1)
        image.write_colormap(1, {i: (60 * i, 200 - 40 * i, 30, 255) for i in range(4)})
    entry = yaml.safe_load((tmp_path / "job" / "data_catalog.yaml").read_text())
    for bands in ([1, 2, 3], [1, 1, 1]):
        entry["noise"]["bands"] = bands
        (tmp_path / "job" / "data_catalog.yaml").write_text(yaml.safe_dump(entry))
        monkeypatch.chdir(tmp_path / "job")
        for verb in ("validate", "run"):
            assert call(verb, "job.yaml") == 2
            said = " ".join(capsys.readouterr().err.split())
            assert "in a palette" in said
            assert "gdal_translate -expand rgb" in said


@pytest.mark.parametrize("place", ["Kenya", "Kazakhstan", "New Zealand", [30.0, -5.0, 42.0, 5.0]])
def test_a_region_far_from_the_imagery_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: Any,
) -> None:
    job = write_plain_job(tmp_path / "job", blocks=1, region=place)
    monkeypatch.chdir(tmp_path / "job")
    with pytest.raises(RegionError, match="lies outside the imagery"):
        resolve(RunConfig(**job))
    for verb in ("validate", "plan"):
        assert call(verb, "job.yaml") == 2
        assert "lies outside the imagery" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["Paraguay", [-70.0, -40.0, -40.0, 0.0]])
def test_a_region_that_holds_the_imagery_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any
) -> None:
    grid = {"cell_m": 40, "block_cells": 512}
    job = write_plain_job(tmp_path / "job", blocks=1, region=place, grid=grid)
    monkeypatch.chdir(tmp_path / "job")
    assert resolve(RunConfig(**job)).source.coverage


def test_pixels_of_another_size_than_the_sensor_says_are_told_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_plain_job(tmp_path, blocks=1)
    catalog = tmp_path / "data_catalog.yaml"
    entry = yaml.safe_load(catalog.read_text())["noise"]
    wrong = {**entry, "sensor": {"gsd_m": 30.0, "patch_m": 280.0}}
    catalog.write_text(yaml.safe_dump({"noise": wrong}))
    monkeypatch.chdir(tmp_path)
    for verb in ("validate", "plan", "run"):
        assert call(verb, "job.yaml") == 0
        said = capsys.readouterr()
        # The handler of the log may be of an earlier test, with that one's stream.
        told = " ".join((said.out + said.err + caplog.text).split())
        assert "the files have 10 m a pixel, but the entry's sensor says 30 m" in told


def test_a_long_run_says_first_how_long_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = write_plain_job(tmp_path, blocks=1)
    monkeypatch.chdir(tmp_path)
    assert long_run(resolve(RunConfig(**job))) == ""
    # The same pixels, 1,000 times as large: a scene of 320 km.
    with rasterio.open("scene.tif", "r+") as scene:
        t = scene.transform
        scene.transform = rasterio.Affine(10_000.0, 0.0, t.c, 0.0, -10_000.0, t.f)
    said = long_run(resolve(RunConfig(**job)))
    assert "16,000,000 patches to embed: about" in said
    assert "patches/s (reckoned" in said


def test_ground_control_points_alone_are_named(tmp_path: Path) -> None:
    job = write_plain_job(tmp_path, blocks=1)
    with rasterio.open(tmp_path / "scene.tif") as scene:
        pixels, profile = scene.read(), {**scene.profile, "transform": None, "crs": None}
    corners = ((0, 0, -54.6, -25.4), (0, 32, -54.5, -25.4), (32, 0, -54.6, -25.5))
    points = [GroundControlPoint(row, col, x, y) for row, col, x, y in corners]
    with rasterio.open(
        tmp_path / "scene.tif", "w", **{**profile, "gcps": points, "crs": "EPSG:4326"}
    ) as scene:
        scene.write(pixels)
    with pytest.raises(ImageryError, match=r"3 ground control points .* gdalwarp -t_srs"):
        resolve(RunConfig(**job, catalog=str(tmp_path / "data_catalog.yaml")))


def test_a_region_smaller_than_a_cell_has_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some 30 m on a side, cells of 40 m.
    small = [-56.0032, -25.3152, -56.0029, -25.3150]
    job = write_plain_job(tmp_path, blocks=2, region=small)
    monkeypatch.chdir(tmp_path)
    assert run(RunConfig(**job)).record.counts["valid_cells"] >= 1
