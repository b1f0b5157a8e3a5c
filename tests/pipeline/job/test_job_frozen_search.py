"""Whole runs on a STAC source: the search is frozen, zones leave no step in the map."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from fixtures_job import write_model_folder
from fixtures_sentinel import SceneSpec, item_of, pattern_at, write_items, write_scene_files
from fixtures_servers import serve_folder, serve_stac
from rasterio.transform import from_origin

from s2s_map.cli.main import main
from s2s_map.config.run import load_run_config
from s2s_map.errors import CatalogError, ImageryError, OutputMismatchError
from s2s_map.pipeline.batch.run_batch import is_up_to_date
from s2s_map.pipeline.job.frozen_search import freeze
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.explain import explain
from s2s_map.pipeline.verbs.plan import make_plan
from s2s_map.pipeline.verbs.run import run

EAST = SceneSpec("east", "EPSG:32632", 267_400.0, 5_155_000.0, tile="32T")
WEST = SceneSpec("west", "EPSG:32631", 726_500.0, 5_155_400.0, tile="31T")
REGION = [5.965, 46.482, 6.03, 46.497]
BOUNDS = (263_000.0, 5_147_000.0, 276_000.0, 5_157_000.0)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("api")
    for spec in (EAST, WEST):
        write_scene_files(folder, spec)
    with serve_folder(folder) as files:
        items = [item_of(spec, files.url) for spec in (EAST, WEST)]
        items.append(item_of(replace(EAST, name="newer", day="2021-05-01T10:00:00Z"), files.url))
        with serve_stac(write_items(folder / "items.json", items)) as api:
            yield api


def write_config(folder: Path, url: str, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model").exists():
        write_model_folder(folder / "model")
    common = {
        "title": "Pattern",
        "sensor": {"gsd_m": 10.0, "patch_m": 640.0},
        "licence": "CC0-1.0",
        "attribution": "nobody",
    }
    stac = {
        "type": "stac",
        "url": url,
        "collection": "sentinel-2-l2a",
        "time": changes.pop("time", "2020-01-01/2020-12-31"),
        "scale": {"min": 0, "max": 1},
        "env": changes.pop("env", []),
    }
    entries = {"stac": common | stac, "whole": common | {"type": "raster", "uri": "whole.tif"}}
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(entries))
    config = {
        "output": str(folder / "out"),
        "source": "stac",
        "region": REGION,
        "model": "model",
        "queries": [{"name": "waves", "text": "waves on a shore"}],
        "grid": {"cell_m": 160, "block_cells": 16, "crs": "EPSG:32632"},
        "patches": {"stride_m": 320},
        **changes,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def write_whole(path: Path) -> None:
    """The pattern as one scene: what the zones together should look like."""
    rows, cols = 1000, 1300
    values = np.rint(255.0 * pattern_at(BOUNDS, (rows, cols), "EPSG:32632")).astype(np.uint8)
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "height": rows,
        "width": cols,
        "crs": "EPSG:32632",
        "transform": from_origin(BOUNDS[0], BOUNDS[3], 10.0, 10.0),
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values)


def test_zones_scenes_and_blocks_leave_no_step_in_the_map(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mosaic = run(write_config(tmp_path, url)).maps["similarity"].to_numpy()
    write_whole(tmp_path / "whole.tif")
    config = write_config(tmp_path, url, source="whole", output=str(tmp_path / "one"))
    one = run(config).maps["similarity"].to_numpy()
    assert mosaic.shape == one.shape
    seen = np.isfinite(mosaic) & np.isfinite(one)
    assert seen.mean() > 0.8
    spread = one[seen].max() - one[seen].min()
    assert spread > 0.0
    # A grey level more or less, and half precision: a hundredth of what the map shows.
    assert np.abs(mosaic - one)[seen].max() < 0.03 * spread


def test_a_run_keeps_its_search(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path, url)
    finished = run(config)
    search = json.loads((tmp_path / "out" / "search.json").read_text())
    assert [item["id"] for item in search["features"]] == ["east", "west"]
    identity = finished.embeddings.attributes["identity"]["source"]
    assert identity["items_sha256"] == search["s2s_map:search"]["items_sha256"]
    # The API is gone: the search that is kept serves.
    again = freeze(resolve(load_run_config(write_config(tmp_path, url))), tmp_path / "out")
    assert again.source.identity()["items_sha256"] == identity["items_sha256"]
    # Another search is another map.
    longer = write_config(tmp_path, url, time="2020-01-01/2021-12-31")
    with pytest.raises(OutputMismatchError, match=r"source\.time"):
        run(longer)


def test_what_searches_is_up_to_date_as_its_search_was(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path, url)
    assert not is_up_to_date(resolve(load_run_config(config)))
    run(config)
    assert is_up_to_date(resolve(load_run_config(config)))
    with pytest.raises(SystemExit) as ended:
        main(["validate", str(config)])
    assert ended.value.code == 0
    # The middle of the region: what was embedded is looked into with the same search.
    explained = explain(tmp_path / "out", 5.99, 46.49, "waves on a shore")
    assert explained is not None
    # Of another search the run itself has to say what differs.
    longer = write_config(tmp_path, url, time="2020-01-01/2021-12-31")
    assert not is_up_to_date(resolve(load_run_config(longer)))
    (tmp_path / "out" / "search.json").unlink()
    assert not is_up_to_date(resolve(load_run_config(write_config(tmp_path, url))))


def test_a_kept_search_needs_no_api(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("s2s_map.catalog.stac_search.RETRIES", 0)
    job = freeze(resolve(load_run_config(write_config(tmp_path, url))), None)
    record = job.source.frozen()
    assert record is not None
    dead = "http://127.0.0.1:9"
    record["s2s_map:search"]["url"] = dead
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "search.json").write_text(json.dumps(record))
    offline = load_run_config(write_config(tmp_path, dead))
    assert not freeze(resolve(offline), tmp_path / "out").source.needs_freezing
    with pytest.raises(ImageryError, match="does not answer"):
        freeze(resolve(offline), None)


def test_a_plan_needs_neither_network_nor_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("S2S_TEST_KEY", raising=False)
    config = write_config(tmp_path, "http://127.0.0.1:9", env=["S2S_TEST_KEY"])
    job = resolve(load_run_config(config))
    assert make_plan(job).read_bytes > 1e6
    with pytest.raises(CatalogError, match="environment variable S2S_TEST_KEY"):
        freeze(job, None)
