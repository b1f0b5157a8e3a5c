"""Batches: real runs in processes of their own, one of them impossible."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pystac.validation
import pytest
import rasterio.warp
import soundfile
import yaml
from filelock import FileLock
from fixtures_job import GSD_M, NORTH, WEST, write_job

from s2s_map.config.batch import load_batch
from s2s_map.config.run import load_run_config
from s2s_map.errors import (
    AudioError,
    ConfigError,
    OutputError,
    OutputMismatchError,
)
from s2s_map.pipeline.batch.run_batch import Outcome, gravest, is_up_to_date, plan_batch, run_batch
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.run import run

pytestmark = pytest.mark.usefixtures("forked_processes")


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
    opened = pystac.Collection.from_file(str(tmp_path / "maps" / "collection.json"))
    items = list(opened.get_items())
    assert [item.id for item in items] == [
        "Two-places-west-noise-model",
        "Two-places-east-noise-model",
    ]
    assert all(Path(item.assets["maps"].get_absolute_href()).is_dir() for item in items)

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
    with FileLock(tmp_path / "maps" / ".lock"), pytest.raises(OutputError, match="another"):
        run_batch(batch, runs)


def test_other_pixels_or_another_recording_are_not_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wav = tmp_path / "call.wav"
    write_tone(wav, 440.0)
    queries = [{"text": "traffic"}, {"name": "call", "text": "a call", "audio": str(wav)}]
    config = load_run_config(write_job(tmp_path, model="s2s-mini", region=box(20), queries=queries))
    run(config)

    def up_to_date() -> bool:
        return is_up_to_date(resolve(config))

    assert up_to_date()
    write_tone(wav, 880.0)
    assert not up_to_date()
    write_tone(wav, 440.0)
    assert up_to_date()
    wav.unlink()
    with pytest.raises(AudioError, match="no recording"):
        up_to_date()
    write_tone(wav, 440.0)
    scene = tmp_path / "scene.tif"
    # A copy is the same, later or not.
    shutil.copyfile(scene, tmp_path / "copy.tif")
    (tmp_path / "copy.tif").replace(scene)
    assert up_to_date()
    size = scene.stat().st_size
    with rasterio.open(scene, "r+") as dataset:
        dataset.write(255 - dataset.read())
    assert scene.stat().st_size == size
    with pytest.raises(OutputMismatchError, match=r"source\.sampled_sha256: \w+\.+ -> \w+"):
        up_to_date()


def write_tone(path: Path, hz: float) -> None:
    wave = 0.5 * np.sin(np.arange(16_000) * (2 * np.pi * hz / 16_000))
    soundfile.write(path, wave.astype(np.float32), 16_000)


def test_a_run_that_cannot_be_started_leaves_no_other_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started: list[subprocess.Popen[bytes]] = []

    class Kept(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Kept)
    batch, runs = load_batch(write_batch(tmp_path))
    # The second log cannot be written.
    (tmp_path / "maps" / "runs" / "east-noise-model.log").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"east-noise-model\.log"):
        run_batch(batch, runs)
    assert [process.poll() is None for process in started] == [False]
    assert not (tmp_path / "maps" / "west-noise-model" / "run.json").exists()


def test_an_item_that_is_damaged_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    batch, runs = load_batch(write_batch(tmp_path, regions={"west": box(20)}))
    assert run_batch(batch, runs)[1] == 0
    item = tmp_path / "maps" / "west-noise-model" / "item.json"
    item.write_text('{"type": "Feature"')
    outcomes, code = run_batch(batch, runs)
    assert ([outcome.state for outcome in outcomes], code) == (["complete"], 0)
    assert json.loads(item.read_text())["type"] == "Feature"


def test_the_report_is_of_this_start_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    regions = {"west": box(20), "nowhere": [0.0, 0.0, 0.1, 0.1]}
    batch, runs = load_batch(write_batch(tmp_path, regions=regions, parallel=1))
    seen = []

    def told(outcome: Outcome) -> None:
        report = json.loads((tmp_path / "maps" / "batch.json").read_text())
        seen.append((report["exit_code"], [run["state"] for run in report["runs"]]))

    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "batch.json").write_text('{"exit_code": 0, "runs": []}')
    _, code = run_batch(batch, runs, told=told)
    assert code == 2
    # The one that cannot be done is told of before the report; then each as it ends.
    assert seen == [
        (0, []),
        (None, ["running", "failed"]),
    ]


def test_the_gravest_exit_code() -> None:
    assert gravest([]) == 0
    assert gravest([0, 3, 0]) == 3
    assert gravest([3, 2]) == 2
    assert gravest([1, 2, 139]) in (1, 139)
    assert gravest([2, 4, 1]) == 4
    # One run's bad input must not keep another, whose cluster was away, from its next start.
    assert gravest([2, 75, 3]) == 75


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
