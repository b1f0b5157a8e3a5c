"""Objects that somebody else put below a prefix, and damage there: as in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures_faults import CountBlocks, stop_after
from fixtures_objects import copy_objects, new_bucket, object_bytes, serve_s3, use_s3
from fixtures_plain_model import write_plain_job

from s2s_map.config.run import RunConfig
from s2s_map.errors import InterruptedRunError
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import ObjectPath
from s2s_map.pipeline.verbs.open_run import open_run
from s2s_map.pipeline.verbs.query import query, remake
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify
from s2s_map.pipeline.verbs.verify import verify_results

BLOCKS = 4


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve_s3() as url:
        yield url


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, server: str) -> dict[str, Any]:
    """Return the config of a run that has ended; the tests go on with copies of what it made."""
    folder = tmp_path_factory.mktemp("made") / "job"
    job = {**write_plain_job(folder, blocks=2), "output": f"s3://{new_bucket(server)}/maps"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        use_s3(patch, server)
        run(RunConfig(**job))
    return {**job, "folder": folder}


@pytest.fixture
def job(made: dict[str, Any], monkeypatch: pytest.MonkeyPatch, server: str) -> dict[str, Any]:
    config = dict(made)
    monkeypatch.chdir(config.pop("folder"))
    use_s3(monkeypatch, server)
    bucket, _, key = config["output"].rpartition("/")
    ours = ObjectPath(f"s3://{new_bucket(server)}", key)
    copy_objects(server, ObjectPath(bucket, key), ours)
    return {**config, "output": str(ours)}


@pytest.fixture
def root(job: dict[str, Any]) -> ObjectPath:
    bucket, _, key = job["output"].rpartition("/")
    return ObjectPath(bucket, key)


def test_overwrite_keeps_the_old_and_a_users_objects(
    job: dict[str, Any], root: ObjectPath, tmp_path: Path
) -> None:
    first = open_output(root).finished_results()
    second = query(str(root), "birds").results
    assert isinstance(first, ObjectPath)
    mine = [
        first / "notes.txt",
        second / "elevation.tif",  # type: ignore[operator]
        root / "results" / "mine.txt",
        root / "embeddings.zarr" / "notes.txt",
        root / "blocks" / "notes.json",
        root / "explanations" / "mine.png",
    ]
    for path in mine:
        path.write_bytes(b"mine")
    before = object_bytes(root)
    other = RunConfig(**{**job, "patches": {"stride_m": 40}})
    with pytest.raises(InterruptedRunError):
        run(other, overwrite=True, executor=stop_after("EmbedTask", 2))
    status = run_status(str(root))
    assert (status.state, status.overwriting, status.maps) == ("stopped", True, True)
    assert object_bytes(root) == before
    assert (verify(str(root)), verify_results(str(root))) == ([], [])
    assert query(str(root), "rain").concepts == ["waves", "birds", "rain"]
    seen = CountBlocks("read", tmp_path / "seen")
    done = run(other, overwrite=True, on_stage=seen)
    assert seen.count.stat().st_size == BLOCKS - 2
    assert done.concepts == ["waves", "birds", "rain"]
    assert done.embeddings.grid.shape
    assert (verify(str(root)), verify_results(str(root))) == ([], [])
    item = json.loads((open_output(root).finished_results() / "item.json").read_bytes())
    home = open_output(root).finished_home()
    assert item["assets"]["embeddings"]["href"] == f"../../stores/{home.name}/embeddings.zarr"
    # And back again: what --overwrite had put is replaced in its turn.
    run(RunConfig(**job), overwrite=True)
    assert [p.name for p in (root / "stores").iterdir()] == [open_output(root).finished_home().name]
    assert {path: path.read_bytes() for path in mine} == dict.fromkeys(mine, b"mine")
    for path in (root / "embeddings.zarr", root / "blocks"):
        assert [file.name for file in path.files()] in (["notes.txt"], ["notes.json"])
    assert [p.name for p in first.files()] == ["notes.txt"]


def test_what_was_begun_for_a_third_config_goes(job: dict[str, Any], root: ObjectPath) -> None:
    with pytest.raises(InterruptedRunError):
        run(
            RunConfig(**{**job, "patches": {"stride_m": 40}}),
            overwrite=True,
            executor=stop_after("EmbedTask", 2),
        )
    run(RunConfig(**{**job, "patches": {"stride_m": 140}}), overwrite=True)
    assert [p.name for p in (root / "stores").iterdir()] == [open_output(root).finished_home().name]


def test_a_home_that_was_replaced_goes_when_the_removal_was_cut_short(
    job: dict[str, Any], root: ObjectPath
) -> None:
    left = {path: path.read_bytes() for path in root.files() if "results" not in str(path)}
    run(RunConfig(**{**job, "patches": {"stride_m": 40}}), overwrite=True)
    # As if it had been killed right after the switch.
    for path, content in left.items():
        if path.name != "latest.json":
            path.write_bytes(content)
    assert (root / "embeddings.zarr" / "zarr.json").is_file()
    query(str(root), "birds")
    assert not (root / "embeddings.zarr").is_dir()
    assert not (root / "blocks").is_dir()
    assert open_run(str(root)).concepts == ["waves", "birds"]


def test_damage_is_named_and_made_again(job: dict[str, Any], root: ObjectPath) -> None:
    query(str(root), "birds")
    sound = object_bytes(root)
    results = open_output(root).finished_results()
    (results / "waves.tif").write_bytes((results / "waves.tif").read_bytes()[:500])
    (results / "birds.qml").unlink()
    (results / "maps.zarr/probability/c/1/0/0/0").write_bytes(b"torn")
    assert {bad.file for bad in verify_results(str(root))} == {
        "waves.tif",
        "birds.qml",
        "maps.zarr/probability/c/1/0/0/0",
    }
    assert set(run_status(str(root)).bad_files) >= {"waves.tif", "birds.qml"}
    remake(str(root))
    assert verify_results(str(root)) == []
    assert object_bytes(root) == sound
    results = open_output(root).finished_results()
    (results / "maps.zarr/zarr.json").write_bytes(b"{")
    assert run(RunConfig(**job)).concepts == ["waves", "birds"]
    assert verify_results(str(root)) == []
    assert object_bytes(root) == sound
    (open_output(root).finished_results() / "run.json").write_bytes(b"{}")
    assert [bad.file for bad in verify_results(str(root))] == ["run.json"]
    assert run(RunConfig(**job)).concepts == ["waves", "birds"]
    assert verify_results(str(root)) == []
