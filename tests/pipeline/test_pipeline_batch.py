"""Batches: real runs in processes of their own, one of them impossible."""

from __future__ import annotations

import json
from pathlib import Path

import pystac.validation
import pytest
import rasterio.warp
import yaml
from filelock import FileLock
from fixtures_job import GSD_M, NORTH, WEST, write_job

from s2s_map.config.batch import load_batch
from s2s_map.errors import ConfigError, OutputError
from s2s_map.pipeline.batch import plan_batch, run_batch


def box(left_px: int, size_px: int = 40) -> list[float]:
    west, north = WEST + left_px * GSD_M, NORTH - 40 * GSD_M
    lon, lat = rasterio.warp.transform(
        "EPSG:32721", "EPSG:4326", [west, west + size_px * GSD_M], [north - size_px * GSD_M, north]
    )
    return [lon[0], lat[0], lon[1], lat[1]]


def write_batch(folder: Path, **changes: object) -> Path:
    write_job(folder)
    batch = {
        "output": "maps",
        "title": "Two places",
        "regions": {"west": box(20), "nowhere": [0.0, 0.0, 0.1, 0.1], "east": box(80)},
        "sources": ["noise"],
        "models": ["model"],
        "queries": [{"text": "traffic"}, {"name": "waves", "text": "waves on a shore"}],
        "defaults": {"grid": {"cell_m": 160, "block_cells": 16}, "patches": {"stride_m": 320}},
        "parallel": 2,
        **changes,
    }
    path = folder / "batch.yaml"
    path.write_text(yaml.safe_dump(batch, sort_keys=False))
    return path


def test_a_batch_keeps_going_and_does_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    batch, runs = load_batch(write_batch(tmp_path))
    assert [run.name for run in runs] == [
        "west-noise-model",
        "nowhere-noise-model",
        "east-noise-model",
    ]
    outcomes, code = run_batch(batch, runs)
    assert [one.state for one in outcomes] == ["complete", "failed", "complete"], outcomes
    assert code == 2
    assert outcomes[1].reason
    report = json.loads((tmp_path / "maps" / "batch.json").read_text())
    assert report["exit_code"] == 2
    assert [run["exit_code"] for run in report["runs"]] == [0, 2, 0]
    collection = json.loads((tmp_path / "maps" / "collection.json").read_text())
    pystac.validation.validate_dict(collection, extensions=[])
    links = [link["href"] for link in collection["links"] if link["rel"] == "item"]
    assert len(links) == 2
    assert all((tmp_path / "maps" / link).is_file() for link in links)

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "maps").glob("*/run.json")}
    again, code = run_batch(batch, runs)
    assert [one.state for one in again] == ["up to date", "failed", "up to date"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    # Another question is another run, of the same embeddings.
    changed = write_batch(tmp_path, queries=[{"text": "birds"}], parallel=1)
    assert [one.state for _, one in plan_batch(load_batch(changed)[1])] == [
        "planned",
        "failed",
        "planned",
    ]
    with FileLock(tmp_path / "maps" / ".batch.lock"), pytest.raises(OutputError, match="another"):
        run_batch(batch, runs)


def test_what_cannot_be_a_batch(tmp_path: Path) -> None:
    for changes, said in (
        ({"regoins": {}}, "did you mean 'regions'"),
        ({"regions": {"a/b": None}}, "cannot name a folder"),
        ({"defaults": {"output": "x"}}, "belongs to the batch"),
        ({"defaults": {"grdi": {}}}, "did you mean 'grid'"),
        ({"sources": ["noise", "noise"]}, "two runs are named"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_batch(write_batch(tmp_path, **changes))
