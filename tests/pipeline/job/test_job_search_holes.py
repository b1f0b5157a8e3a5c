"""Whole runs where a part of the search is not answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from fixtures_cli import call
from fixtures_job import write_model_folder
from fixtures_sentinel import SceneSpec, item_of, write_scene_files
from fixtures_servers import serve_folder
from fixtures_stac_api import Asked, StacServer, serve_synthetic
from starlette.responses import PlainTextResponse, Response

# Slow for whole runs, which load a text encoder and draw.
pytestmark = pytest.mark.slow

EAST = SceneSpec(
    "east", "EPSG:32632", 267_400.0, 5_155_000.0, tile="32T", day="2020-08-20T10:00:00Z"
)
WEST = SceneSpec(
    "west", "EPSG:32631", 726_500.0, 5_155_400.0, tile="31T", day="2020-06-05T10:00:00Z"
)


def no_west(asked: Asked) -> Response | None:
    return PlainTextResponse("internal error", 500) if "west" in asked.page else None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StacServer]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S2S_MAP_CACHE", str(tmp_path / "cache"))
    (tmp_path / "files").mkdir()
    for spec in (EAST, WEST):
        write_scene_files(tmp_path / "files", spec)
    with serve_folder(tmp_path / "files") as files:
        items = [item_of(spec, files.url) for spec in (EAST, WEST)]
        with serve_synthetic(StacServer(items)) as api:
            yield api


def write_config(server: StacServer, name: str, **fields: Any) -> str:
    if not Path("model").exists():
        write_model_folder(Path("model"))
    entry = {
        "type": "stac",
        "title": "Pattern",
        "url": server.url,
        "collection": "sentinel-2-l2a",
        "time": "2020-06-01/2020-08-31",
        "scale": {"min": 0, "max": 1},
        "sensor": {"gsd_m": 10.0, "patch_m": 640.0},
        "licence": "CC0-1.0",
        "attribution": "nobody",
        "manners": {"per_second": 10_000, "first_wait_s": 1e-3, "breaker_rest_s": 1e-3},
        **fields,
    }
    config = {
        "output": name,
        "source": "stac",
        "region": [5.965, 46.482, 6.03, 46.497],
        "model": "model",
        "queries": [{"name": "waves", "text": "waves on a shore"}],
        "grid": {"cell_m": 160, "block_cells": 16, "crs": "EPSG:32632"},
        "patches": {"stride_m": 640},
        "catalog": f"{name}-catalog.yaml",
    }
    Path(f"{name}-catalog.yaml").write_text(yaml.safe_dump({"stac": entry}))
    Path(f"{name}.yaml").write_text(yaml.safe_dump(config))
    return f"{name}.yaml"


def test_a_search_with_a_hole_is_refused_before_anything_is_read(
    server: StacServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.misbehave = no_west
    assert call("run", write_config(server, "strict")) == 75
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ")
    assert "on_missing_search: nodata" in said
    assert not Path("strict/waves.tif").exists()
    # When the server is well again the same command goes on.
    server.misbehave = lambda asked: None
    assert call("run", "strict.yaml") == 0


def test_a_map_without_a_part_of_the_search_says_so_and_is_completed(
    server: StacServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.misbehave = no_west
    config = write_config(server, "lenient", on_missing_search="nodata")
    assert call("run", config) == 3
    assert "search [" in " ".join(capsys.readouterr().err.split())
    assert json.loads(Path("lenient/search.json").read_text())["s2s_map:search"]["holes"]
    with rasterio.open("lenient/waves.tif") as image:
        without = image.read(1)
    for verb in ("validate", "plan"):
        capsys.readouterr()
        assert call(verb, config) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "1 part of the search was not answered, and scenes there are missing" in shown
        assert "--retry-holes" in shown
    # One map never shows two searches: what was begun is completed, or nothing is done.
    search, asked = Path("lenient/search.json").read_bytes(), len(server.asked)
    write_config(server, "lenient")
    for line in (["validate"], ["run"]):
        assert call(*line, config) == 2
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert "begun with a search of which parts were not answered" in said
        assert "--retry-holes" in said
    Path("lenient/search.json").rename("aside.json")
    assert call("run", config, "--retry-holes") == 2
    assert "it is not known which scenes" in capsys.readouterr().err
    Path("aside.json").rename("lenient/search.json")
    assert len(server.asked) == asked
    assert call("run", config, "--retry-holes") == 75
    assert "still" in capsys.readouterr().err
    assert Path("lenient/search.json").read_bytes() == search
    server.misbehave = lambda asked: None
    before = len(server.asked)
    assert call("run", config, "--retry-holes") == 0
    # The hole alone was asked for, and nothing is kept of the search beside its result.
    assert {one.box for one in server.asked[before:]} <= {one.box for one in server.asked[:before]}
    assert len(server.asked) - before <= len(json.loads(search)["s2s_map:search"]["holes"])
    assert not list(Path("cache/searches").iterdir())
    assert "holes" not in json.loads(Path("lenient/search.json").read_text())["s2s_map:search"]
    assert call("run", write_config(server, "whole")) == 0
    with rasterio.open("lenient/waves.tif") as image, rasterio.open("whole/waves.tif") as whole:
        np.testing.assert_array_equal(image.read(1), whole.read(1))
        assert np.isnan(without).sum() > np.isnan(image.read(1)).sum()
