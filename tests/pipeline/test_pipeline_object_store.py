"""Runs whose output is a prefix of an object store: the same maps and the same promises."""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import obstore
import pystac
import pytest
import rasterio
import xarray as xr
from fixtures_faults import CountBlocks, FailAt, result_bytes
from fixtures_objects import (
    SECRET,
    copy_objects,
    new_bucket,
    object_bytes,
    proxied,
    serve_s3,
    use_s3,
)
from fixtures_plain_model import write_plain_job

from s2s_map.cli.main import main
from s2s_map.config.run import RunConfig
from s2s_map.embeddings.opening import open_ledger
from s2s_map.errors import OutputError, OutputMismatchError, StoreError
from s2s_map.outputs import s3_client as clients
from s2s_map.outputs.ledger import BlockRecord, RunStart
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import ObjectPath, output_path, zarr_target
from s2s_map.outputs.s3_client import object_client
from s2s_map.outputs.s3_ledger import ObjectLedger
from s2s_map.outputs.s3_lock import LOCK, ObjectLock
from s2s_map.pipeline.engine.dask_worker import TaskPlugin
from s2s_map.pipeline.verbs.open_run import open_run
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify
from s2s_map.redaction import redacted

BLOCKS = 16


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve_s3() as url:
        yield url


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_plain_job(tmp_path_factory.mktemp("objects") / "job", blocks=4)


@pytest.fixture(scope="module")
def local(job: dict[str, Any]) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(job["output"]).parent)
        folder = run(RunConfig(**job)).folder
        assert isinstance(folder, Path)
        return folder


@pytest.fixture
def root(server: str, job: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    monkeypatch.chdir(Path(job["output"]).parent)
    use_s3(monkeypatch, server)
    return ObjectPath(f"s3://{new_bucket(server)}", "maps/out")


@pytest.fixture(scope="module")
def made(server: str, job: dict[str, Any]) -> ObjectPath:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(job["output"]).parent)
        use_s3(patch, server)
        out = ObjectPath(f"s3://{new_bucket(server)}", "maps/out")
        run(config_for(job, out))
        return out


@pytest.fixture
def finished(made: ObjectPath, root: ObjectPath, server: str) -> ObjectPath:
    """Return where a run has ended, a copy: starts as `root` does."""
    copy_objects(server, made, root)
    return root


def config_for(job: dict[str, Any], root: ObjectPath, **changes: Any) -> RunConfig:
    return RunConfig(**{**job, "output": str(root), **changes})


def names(path: Any) -> set[str]:
    return {child.name for child in path.iterdir()}


def generation(path: Any) -> str:
    return str(path.name).partition("-")[0]


def test_the_same_maps_as_in_a_folder(
    job: dict[str, Any], local: Path, root: ObjectPath, server: str, tmp_path: Path
) -> None:
    done = run(config_for(job, root))
    assert names(root) == {"blocks", "embeddings.zarr", "latest.json", "ledger", "results"}
    assert names(done.results) == {
        "maps.zarr",
        "waves.tif",
        "waves.qml",
        "imagery.tif",
        "preview.png",
        "item.json",
        "project.qgz",
        "run.json",
    }
    assert done.results.parent == root / "results"
    assert generation(done.results) == "0001"
    assert object_bytes(root) == result_bytes(local)
    for name in ("waves.qml", "imagery.tif", "preview.png"):
        assert (done.results / name).read_bytes() == (local / name).read_bytes()
    latest = json.loads((root / "latest.json").read_text())
    assert (root / latest["item"]).is_file()
    item = pystac.Item.from_dict(json.loads((done.results / "item.json").read_text()))
    assert item.assets["embeddings"].href == "../../embeddings.zarr"
    assert item.assets["maps"].href == "./maps.zarr"
    assert {"imagery", "thumbnail", "run", "waves", "waves-style"} <= set(item.assets)

    # As anybody else reads it: xarray, and GDAL through its own S3 client.
    there = xr.open_zarr(zarr_target(done.results / "maps.zarr", read_only=True))
    here = xr.open_zarr(local / "maps.zarr")
    np.testing.assert_array_equal(there["probability"].values, here["probability"].values)
    assert done.maps.rio.crs.to_epsg() == 32721
    bucket = root.bucket.removeprefix("s3://")
    env = {
        "AWS_S3_ENDPOINT": server.removeprefix("http://"),
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
    }
    with rasterio.Env(**env):
        vsi = f"/vsis3/{bucket}/{root.key}/results/{done.results.name}"
        with rasterio.open(f"{vsi}/waves.tif") as a, rasterio.open(local / "waves.tif") as b:
            assert a.read().tobytes() == b.read().tobytes()
            assert (a.crs, a.transform, a.shape) == (b.crs, b.transform, b.shape)
            assert a.overviews(1) == b.overviews(1)
        with rasterio.open(f'ZARR:"{vsi}/maps.zarr":/probability') as cells:
            assert cells.shape == b.shape


def test_asking_again_and_querying(job: dict[str, Any], root: ObjectPath, tmp_path: Path) -> None:
    for zarr_format in (3, 2):
        place = root / str(zarr_format)
        here = tmp_path / str(zarr_format)
        changes = {"zarr_format": zarr_format}
        run(config_for(job, place, **changes))
        run(RunConfig(**{**job, "output": str(here), **changes}))
        for out in (place, here):
            asked = query(out, "birds", name="birds")
            assert asked.concepts == ["waves", "birds"]
        assert object_bytes(place) == result_bytes(here)
        assert names(open_output(place).finished_results()) == {
            path.name
            for path in here.iterdir()
            if path.name not in ("embeddings.zarr", "ledger.jsonl", ".lock", ".manifest.json")
        }
        assert generation(open_run(str(place)).results) == "0002"
    seen = CountBlocks("read", tmp_path / "seen")
    again = run(config_for(job, root / "3"), on_stage=seen)
    assert not seen.count.exists()
    assert again.concepts == ["waves", "birds"]
    # The one before stays for readers at work, older ones go.
    assert sorted(map(generation, (root / "3/results").iterdir())) == ["0002", "0003"]


def test_a_changed_config_is_refused_with_the_difference(
    job: dict[str, Any], finished: ObjectPath
) -> None:
    root = finished
    other = config_for(job, root, patches={"stride_m": 40})
    with pytest.raises(OutputMismatchError, match=r"patches.stride_m: 80.0 -> 40.0"):
        run(other)
    done = run(other, overwrite=True)
    assert generation(done.results) == "0002"
    assert done.record.counts["blocks"] == BLOCKS
    assert verify(str(root)) == []
    # The embeddings that were replaced are gone, with all that was known of them.
    assert names(root) == {"latest.json", "results", "stores"}
    assert names(root / "stores") == {open_output(root).finished_home().name}


def test_foreign_objects_are_left_alone(job: dict[str, Any], root: ObjectPath) -> None:
    (root / "thesis.doc").write_bytes(b"years")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"holds other files, such as thesis\.doc"):
            run(config_for(job, root), overwrite=overwrite)
    assert names(root) == {"thesis.doc"}


def test_a_failed_block_is_done_by_the_next_run(
    job: dict[str, Any], local: Path, root: ObjectPath, tmp_path: Path
) -> None:
    config = config_for(job, root)
    done = run(config, on_stage=FailAt(("r002-c001",)))
    assert list(done.record.failed) == ["r002-c001"]
    status = run_status(str(root))
    assert (status.state, status.blocks_done, status.maps) == ("incomplete", BLOCKS - 1, True)
    assert list(status.failed) == ["r002-c001"]
    seen = CountBlocks("read", tmp_path / "seen")
    assert run(config, on_stage=seen).record.failed == {}
    assert seen.count.stat().st_size == 1
    status = run_status(str(root))
    assert (status.state, status.blocks_done, status.failed) == ("complete", BLOCKS, {})
    assert object_bytes(root) == result_bytes(local)


def test_verify_and_repair(job: dict[str, Any], local: Path, finished: ObjectPath) -> None:
    root, config = finished, config_for(job, finished)
    shards = root / "embeddings.zarr/embedding/c/0"
    (shards / "0/0/0").write_bytes((shards / "1/1/0").read_bytes())
    (shards / "2/2/0").write_bytes(b"no shard")
    (shards / "3/3/0").unlink()
    assert {bad.block for bad in verify(str(root))} == {"r000-c000", "r002-c002", "r003-c003"}
    assert len(verify(str(root), repair=True)) == 3
    assert run_status(str(root)).blocks_done == BLOCKS - 3
    run(config)
    assert verify(str(root)) == []
    assert object_bytes(root) == result_bytes(local)


def test_markers_are_what_counts(finished: ObjectPath) -> None:
    root = finished
    state = ObjectLedger(root).state()
    (root / "ledger/blocks.jsonl").unlink()
    assert ObjectLedger(root).state() == state
    (root / "blocks/r000-c000.json").write_bytes(b"{")
    (root / "blocks/r000-c001.json").unlink()
    assert set(state.records) - set(ObjectLedger(root).state().records) == {
        "r000-c000",
        "r000-c001",
    }


def test_markers_of_another_store_are_not_believed(
    job: dict[str, Any], finished: ObjectPath, tmp_path: Path
) -> None:
    root, config = finished, config_for(job, finished)
    # As after --overwrite, when a run that has lost the prefix puts its markers late.
    late = {path.name: path.read_bytes() for path in (root / "blocks").files()}
    whole = (root / "ledger/blocks.jsonl").read_bytes()
    run(config, overwrite=True, on_stage=FailAt(("r000-c000",)))
    home = open_output(root).finished_home()
    for name, content in late.items():
        (home / "blocks" / name).write_bytes(content)
    assert open_ledger(home).state().records == {}
    (home / "ledger/blocks.jsonl").write_bytes(whole)
    assert open_ledger(home).state().records == {}
    # Where it was writing to, nobody looks any longer.
    (root / "blocks" / name).write_bytes(content)
    seen = CountBlocks("read", tmp_path / "seen")
    assert run(config, on_stage=seen).record.counts["blocks"] == BLOCKS
    assert seen.count.stat().st_size == BLOCKS
    assert verify(str(root)) == []


def test_only_this_runs_work_counts_as_its_own(root: ObjectPath) -> None:
    def record(block: str, worker: str) -> BlockRecord:
        return BlockRecord(block, "ab", 3, 4, 0.5, 16, encode_s=2.0, worker=worker)

    for number, worker in enumerate(("earlier", "now")):
        with ObjectLedger(root) as ledger:
            ledger.start(RunStart(2, 6, 6, "threads"))
            ledger.record(record(f"r000-c00{number}", worker))
            ledger.end("stopped")
    state = ObjectLedger(root).state()
    assert len(state.records) == 2
    assert (state.finished_now, state.encode_s, state.workers) == (3, 2.0, {"now"})


def test_two_runs_never_write_to_the_same_generation(root: ObjectPath) -> None:
    late, ours = open_output(root).next_results(), open_output(root).next_results()
    assert late != ours
    (ours / "run.json").touch()
    (late / "run.json").touch()
    assert open_output(root).unfinished_results(ours) == [late]
    open_output(root).publish(ours)
    assert open_output(root).finished_results() == ours
    assert names(root / "results") == {ours.name}
    with pytest.raises(OutputError, match="another run has written results"):
        open_output(root).publish(late)
    assert open_output(root).finished_results() == ours


def test_a_put_of_latest_that_was_tried_again_is_ours(root: ObjectPath, server: str) -> None:
    ours = open_output(root).next_results()
    (ours / "run.json").touch()
    direct = object_client(root.bucket)
    with proxied(server) as proxy:
        seen: list[str] = []

        def lose_the_answer(method: str, path: str, n: int) -> tuple[int, str] | None:
            if method == "PUT" and path.endswith("latest.json") and not seen:
                seen.append(path)
                content = {"generation": 1, "results": f"results/{ours.name}"}
                obstore.put(direct, f"{root.key}/latest.json", json.dumps(content).encode())
                return (500, "InternalError")
            return None

        proxy.answer = lose_the_answer
        open_output(root).publish(ours)
    assert seen
    assert json.loads((root / "latest.json").read_text()).keys() == {"generation", "results"}
    assert open_output(root).finished_results() == ours


def test_markers_are_fetched_once(finished: ObjectPath, server: str) -> None:
    with proxied(server) as proxy:
        assert len(ObjectLedger(finished).state().records) == BLOCKS
        # The run, the listing, and all markers together.
        assert len(proxy.requests) == 3


def test_readers_never_see_half_a_run(
    job: dict[str, Any], local: Path, root: ObjectPath, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_for(job, root)
    with proxied(server) as proxy:
        proxy.answer = lambda method, path, n: (
            (403, "AccessDenied") if method == "PUT" and path.endswith("waves.tif") else None
        )
        with pytest.raises(OutputError, match=r"waves\.tif: access denied"):
            run(config)
        with pytest.raises(StoreError, match="no finished run"):
            open_run(str(root))
        assert run_status(str(root)).maps is False
        proxy.answer = lambda method, path, n: None
        proxy.requests.clear()
        run(config)
        # The regions that were scored are not scored again, and latest.json comes last.
        puts = [path for method, path in proxy.requests if method == "PUT"]
    # Scored again they would be read; what was scored is copied by the server.
    assert not any("/embedding/c/" in path for _, path in proxy.requests)
    # But for how the run ended, and the lock, which is renewed before it is given back.
    told = [path for path in puts if "/ledger/" not in path and not path.endswith("lock.json")]
    assert told[-1].endswith("/latest.json")
    assert len(names(root / "results")) == 1
    assert object_bytes(root) == result_bytes(local)
    before = open_run(str(root)).results
    with proxied(server) as proxy:
        proxy.answer = lambda method, path, n: (
            (403, "AccessDenied") if method == "PUT" and path.endswith("latest.json") else None
        )
        with pytest.raises(OutputError, match=r"latest\.json: access denied"):
            query(str(root), "birds")
    assert open_run(str(root)).results == before
    assert open_run(str(root)).concepts == ["waves"]


def test_throttling_and_errors_of_the_server(
    job: dict[str, Any], local: Path, root: ObjectPath, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxied(server) as proxy:
        proxy.answer = lambda method, path, n: (
            None if n % 9 else ((503, "SlowDown") if n % 2 else (500, "InternalError"))
        )
        run(config_for(job, root))
        refused = len(proxy.requests) // 9
    assert refused > 5
    assert object_bytes(root) == result_bytes(local)
    assert verify(str(root)) == []


def test_a_store_that_goes_away_is_worth_another_start(
    job: dict[str, Any],
    local: Path,
    root: ObjectPath,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(clients, "RETRY_S", 1.0)
    puts: list[str] = []

    def away(method: str, path: str, n: int) -> tuple[int, str] | None:
        puts.extend([path] if method == "PUT" and "/embedding/c/" in path else [])
        return (503, "SlowDown") if len(puts) > 3 else None

    with proxied(server) as proxy:
        proxy.answer = away
        with pytest.raises(SystemExit) as end:
            main(["run", "job.yaml", "--output", str(root)])
    said = " ".join(capsys.readouterr().err.split())
    assert end.value.code == 75
    # An answer to HEAD has no body to say SlowDown in.
    assert re.search(r"refuses for the time being \(503( SlowDown)?\), tried repeatedly", said)
    # This process lives, but could not give its lease back.
    (root / LOCK).unlink(missing_ok=True)
    assert 0 < run_status(str(root)).blocks_done < BLOCKS
    run(config_for(job, root))
    assert object_bytes(root) == result_bytes(local)


def test_two_at_once(job: dict[str, Any], root: ObjectPath) -> None:
    lock = ObjectLock(root, beat_s=0.2)
    lock.acquire()
    try:
        for act in (
            lambda: run(config_for(job, root)),
            lambda: verify(str(root), repair=True),
        ):
            if act is not None:
                with pytest.raises((OutputError, StoreError), match=r"another run is|no embedd"):
                    act()
    finally:
        lock.release()
    assert names(root) == set()


@pytest.mark.parametrize(
    ("fault", "says", "code"),
    [
        ("read-only", "access denied (403 AccessDenied)", 2),
        ("no bucket", "there is no such bucket", 2),
        # The network may be down: nothing says that the config is wrong.
        ("nobody", "cannot be reached", 75),
        ("no credentials", "no credentials in the environment", 2),
        ("scheme", "expected a folder, or s3://", 2),
    ],
)
def test_bad_outputs_end_before_anything_is_computed(
    job: dict[str, Any],
    root: ObjectPath,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: str,
    says: str,
    code: int,
) -> None:
    out = str(root)
    with proxied(server) as proxy:
        proxy.answer = lambda m, p, n: (403, "AccessDenied") if m in ("PUT", "DELETE") else None
        if fault == "no bucket":
            monkeypatch.setenv("AWS_ENDPOINT_URL", server)
            out = "s3://no-such-bucket-at-all/x"
        elif fault == "nobody":
            monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        elif fault == "no credentials":
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
            monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
            monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
        elif fault == "scheme":
            out = "hdfs://bucket/x"
        with pytest.raises(SystemExit) as end:
            main(["run", "job.yaml", "--output", out])
    said = capsys.readouterr().err
    assert end.value.code == code
    assert says in " ".join(said.split())
    assert said.strip().count("\n") <= 3  # One line, wrapped.
    assert "Traceback" not in said


def test_command_line(
    job: dict[str, Any], root: ObjectPath, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, says in (
        (["run", "job.yaml", "--output", str(root)], f"s2s-map query {root}"),
        (["status", str(root)], "complete on threads: 100.0% embedded"),
        (["verify", str(root)], f"{BLOCKS} of {BLOCKS} needed blocks verified"),
        (["query", str(root), "birds"], f"added birds to {root}"),
        (["validate", "job.yaml"], "is valid"),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        out = capsys.readouterr().out
        assert (end.value.code or 0) == 0, out
        assert says in " ".join(out.split())


def test_keys_are_neither_stored_nor_logged(
    job: dict[str, Any],
    root: ObjectPath,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with caplog.at_level(logging.DEBUG):
        done = run(config_for(job, root))
        query(str(root), "birds")
    for path in root.files():
        content = path.read_bytes()
        assert SECRET.encode() not in content
        assert os.environ["AWS_ACCESS_KEY_ID"].encode() not in content
    assert SECRET not in caplog.text
    assert SECRET not in "".join(capfd.readouterr())
    assert SECRET.encode() not in pickle.dumps([done.embeddings, done.folder, done.results])
    # Nothing temporary is left either.
    assert list(tmp_path.rglob("s2s-map-*")) == []


def test_keys_of_the_environment_do_not_go_to_the_cluster(root: ObjectPath) -> None:
    root.check()
    assert redacted(f"signed with {SECRET}") == "signed with ${AWS_SECRET_ACCESS_KEY}"
    sent = pickle.dumps(TaskPlugin("token", [root], 1))
    assert SECRET.encode() not in sent
    assert os.environ["AWS_ACCESS_KEY_ID"].encode() not in sent


def test_objects_are_listed_by_the_server_itself(finished: ObjectPath, server: str) -> None:
    root = finished
    bucket = root.bucket.removeprefix("s3://")
    listed = httpx.get(f"{server}/{bucket}", params={"list-type": "2", "prefix": root.key}).text
    assert listed.count("<Key>") == len(root.files())
    assert LOCK not in listed
    assert isinstance(output_path(str(root)), ObjectPath)
