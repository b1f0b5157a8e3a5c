"""Files made twice are the same to the byte, wherever they lie and whatever happened meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rasterio
import yaml
from fixtures_faults import HOW_IT_WENT, TESTS, all_bytes, environment
from fixtures_job import write_job
from fixtures_plain_model import write_plain_job

from s2s_map.config.making_time import VARIABLE, making_time
from s2s_map.config.run import RunConfig
from s2s_map.embeddings.opening import open_ledger
from s2s_map.errors import ConfigError
from s2s_map.pipeline.job.run_record import heading
from s2s_map.pipeline.verbs.explain import explain
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import verify

EPOCH = "1767312000"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A run config of a job whose imagery has no time: files need one to be said."""
    made = write_plain_job(tmp_path / "job", blocks=2)
    catalog = tmp_path / "job" / "data_catalog.yaml"
    entries = yaml.safe_load(catalog.read_text())
    del entries["noise"]["time"]
    catalog.write_text(yaml.safe_dump(entries))
    monkeypatch.chdir(tmp_path / "job")
    return made


def config_for(job: dict[str, Any], out: Path, **changes: Any) -> RunConfig:
    return RunConfig(**{**job, "output": str(out), **changes})


def test_three_runs_in_three_places_write_the_same_files(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, EPOCH)
    one, two, three = tmp_path / "one", tmp_path / "a b" / "zwei", Path("here")
    run(config_for(job, one))
    config = tmp_path / "killed.yaml"
    config.write_text(yaml.safe_dump({**job, "output": str(two)}))
    script = [sys.executable, str(TESTS / "faults" / "run_plain.py"), str(config), "write", "3"]
    killed = subprocess.run(
        [*script, str(tmp_path / "count")], env=environment(), timeout=120, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    run(config)
    run(config_for(job, three, cluster={"use": "threads", "in_flight": 1}))
    for out in (one, two, three):
        query(out, "a river flowing", name="river")
    expected = all_bytes(one)
    assert "river.tif" in expected
    assert "waves.qml" in expected
    assert all_bytes(two) == expected
    assert all_bytes(three) == expected
    for name in HOW_IT_WENT:
        assert (one / name).read_bytes() != (two / name).read_bytes()


def test_a_time_stands_only_where_one_is_needed(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, EPOCH)
    out = run(config_for(job, tmp_path / "out")).folder
    assert isinstance(out, Path)
    item = json.loads((out / "item.json").read_text())
    assert item["properties"]["datetime"] == "2026-01-02T00:00:00Z"
    assert "created" not in item["properties"]
    assert json.loads((out / "run.json").read_text())["created"] == "2026-01-02T00:00:00+00:00"
    monkeypatch.delenv(VARIABLE)
    again = run(config_for(job, tmp_path / "again")).folder
    assert isinstance(again, Path)
    others = {"item.json"}
    before, after = all_bytes(out), all_bytes(again)
    assert {name for name in before if before[name] != after[name]} == others


def test_no_file_says_where_the_output_or_the_inputs_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "some body" / "secret place"
    config = write_job(place, region=None)
    monkeypatch.chdir(place)
    out = run(config).folder
    assert isinstance(out, Path)
    with rasterio.open(out / "waves.tif") as source:
        tags = source.tags()
    written = json.loads(tags["CONFIG"])
    assert written["model"] == "model"
    assert "output" not in written
    assert "cluster" not in written
    assert tags["HISTORY"].startswith("s2s-map ")
    names = ("secret place", "some body")
    kept = {
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if path.is_file() and any(name.encode() in path.read_bytes() for name in names)
    }
    # The record of how it went, by which it is asked again.
    assert kept == {"run.json"}


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("Paraná", "Paraná, noise"),
        ("/home/somebody/park.geojson", "park, noise"),
        ([0.0, 0.0, 1.0, 1.0], "noise"),
        ("POLYGON ((0 0, 0 1, 1 1, 0 0))", "noise"),
        (None, "noise"),
    ],
)
def test_a_run_without_title_is_called_by_its_imagery_and_region(
    region: Any, expected: str
) -> None:
    config = RunConfig(output="x", source="noise", region=region, queries=[{"text": "waves"}])
    assert heading(config) == expected
    assert heading(config.model_copy(update={"title": "Shores"})) == "Shores"


def test_an_output_that_was_moved_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_job(tmp_path)
    out = run(config).folder
    assert isinstance(out, Path)
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    out.rename(moved)
    found = explain(moved, -55.9803, -25.3137, "waves on a shore")
    assert Path(str(found.report)).is_relative_to(moved)
    assert not out.exists()


def test_outputs_of_an_older_version_resume(job: dict[str, Any], tmp_path: Path) -> None:
    config = config_for(job, tmp_path / "out")
    out = run(config).folder
    assert isinstance(out, Path)
    expected = all_bytes(out)
    # Version 0.1.0 kept the name of the store in its attributes.
    file = out / "embeddings.zarr" / "embedding" / "store_id"
    metadata = out / "embeddings.zarr" / "zarr.json"
    content = json.loads(metadata.read_text())
    content["attributes"]["s2s_map:provenance"]["store_id"] = file.read_text().strip()
    metadata.write_text(json.dumps(content))
    file.unlink()
    (out / "waves.tif").unlink()
    again = run(config)
    assert again.record.counts["patches_embedded_now"] == 0
    assert len(open_ledger(out).state().records) == 4
    assert verify(out) == []
    query(out, "a river flowing", name="river")
    assert (out / "waves.tif").read_bytes() == expected["waves.tif"]


def test_the_time_of_making(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    before = datetime.now(UTC)
    assert before <= making_time() <= datetime.now(UTC)
    monkeypatch.setenv(VARIABLE, EPOCH)
    assert making_time() == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["soon", "-1", "1e9", "9" * 30, "१२"])
def test_a_time_of_making_that_is_none(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv(VARIABLE, wrong)
    with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH"):
        run(config_for(job, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
