"""How far a run is, and whether its store is as it was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fixtures_faults import CountBlocks, FailAt, Watched, all_bytes, stop_after
from fixtures_plain_model import write_plain_job

from s2s_map.cli.main import main
from s2s_map.config.run import RunConfig
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import FailedRunError, InterruptedRunError, OutputError, StoreError
from s2s_map.outputs.disk_ledger import JournalLedger
from s2s_map.outputs.ledger import BlockRecord, RunStart
from s2s_map.outputs.output import open_output
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    config = write_plain_job(tmp_path / "job", blocks=2)
    monkeypatch.chdir(tmp_path / "job")
    return config


def test_a_corrupted_and_a_missing_shard_are_found_and_made_again(
    job: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(RunConfig(**job)).folder
    sound = all_bytes(folder)
    assert verify(folder) == []
    store = EmbeddingsStore.open(folder / "embeddings.zarr")
    first, second, *_ = store.grid.iter_blocks()
    spoiled = bytearray(store.shard(first).read_bytes())
    spoiled[len(spoiled) // 3] ^= 0xFF
    store.shard(first).write_bytes(spoiled)
    store.shard(second).unlink()
    # In the order in which blocks were finished.
    assert sorted(bad.block for bad in verify(folder)) == [first.key, second.key]
    with pytest.raises(SystemExit) as end:
        main(["verify", str(folder), "--json", "--repair"])
    assert end.value.code == 3
    listed = json.loads(capsys.readouterr().out)
    reasons = {bad["block"]: bad["reason"] for bad in listed["bad"]}
    assert sorted(reasons) == [first.key, second.key]
    assert "missing" in reasons[second.key]
    seen = CountBlocks("read", tmp_path / "count")
    again = run(RunConfig(**job), on_stage=seen)
    assert seen.count.stat().st_size == 2
    assert verify(again.folder) == []
    assert all_bytes(again.folder) == sound


def test_repair_waits_for_no_run(job: dict[str, Any]) -> None:
    folder = run(RunConfig(**job)).folder
    with open_output(folder).locked(), pytest.raises(OutputError, match="another run"):
        verify(folder, repair=True)


def test_the_share_of_time_in_which_encoders_wait(tmp_path: Path) -> None:
    lines = [
        {"event": "start", "blocks": 3, "patches": 75, "todo": 75, "cluster": "local", "at": 100.0},
        {"event": "done", "block": "r000-c000", "encode_s": 4.0, "worker": "a", "at": 105.0},
        {"event": "end", "how": "stopped", "at": 106.0},
        {"event": "start", "blocks": 3, "patches": 75, "todo": 50, "cluster": "local", "at": 200.0},
        {"event": "done", "block": "r000-c001", "encode_s": 4.0, "worker": "a", "at": 205.0},
        {"event": "done", "block": "r000-c002", "encode_s": 8.0, "worker": "b", "at": 210.0},
    ]
    record = {"checksum": "ab", "patches": 25, "valid_cells": 4, "seconds": 1.0, "batch_size": 16}
    ledger = tmp_path / "ledger.jsonl"

    def idle(count: int) -> float | None:
        told = [{**record, **line} if line["event"] == "done" else line for line in lines[:count]]
        ledger.write_text("".join(json.dumps(line) + "\n" for line in told))
        return run_status(tmp_path).encoder_idle

    assert idle(1) is None
    assert idle(3) == pytest.approx(1 - 4 / 6, abs=1e-3)
    # Of the last run alone; two workers for ten seconds, twelve of these twenty at work.
    assert idle(6) == pytest.approx(0.4)


def test_status_of_each_ending(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no run was started"):
        run_status(tmp_path)
    with JournalLedger(tmp_path / "ledger.jsonl") as ledger:
        ledger.start(RunStart(4, 100, 100, "local"))
        ledger.record(BlockRecord("r000-c000", "ab", 25, 4, 0.5, 16))
        with open_output(tmp_path).locked():
            running = run_status(tmp_path)
        assert (running.state, running.share, running.cluster) == ("running", 0.25, "local")
        assert running.patches_per_s >= 0
        # Nobody holds the folder, and no ending is written.
        assert run_status(tmp_path).state == "killed"
        for how in ("stopped", "failed", "incomplete", "complete"):
            ledger.end(how)
            assert run_status(tmp_path).state == how
        ledger.end("embedded")
        with open_output(tmp_path).locked():
            assert run_status(tmp_path).state == "running"
        assert run_status(tmp_path).state == "killed"
    assert run_status(tmp_path).blocks_done == 1
    assert run_status(tmp_path).maps is False


def test_a_run_is_not_complete_while_its_maps_are_made(job: dict[str, Any], tmp_path: Path) -> None:
    out, seen = Path(job["output"]), []

    def look(_: int) -> None:
        seen.append(run_status(out))
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        run(RunConfig(**job), executor=Watched("RegionTask", look))
    assert [(s.state, s.stage, s.share, s.maps) for s in seen] == [("running", "maps", 1.0, False)]
    stopped = run_status(out)
    assert (stopped.state, stopped.stage, stopped.maps) == ("stopped", "maps", False)
    run(RunConfig(**job))
    done = run_status(out)
    assert (done.state, done.stage, done.maps_current) == ("complete", None, True)
    # The maps of before are still there when a later run stops.
    with pytest.raises(InterruptedRunError):
        run(RunConfig(**job), overwrite=True, executor=stop_after("EmbedTask", 1))
    assert run_status(out).maps_current is False


def test_verify_counts_what_is_not_embedded(
    job: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    out = job["output"]
    with pytest.raises(InterruptedRunError):
        run(RunConfig(**job), executor=stop_after("EmbedTask", 1))
    with pytest.raises(SystemExit) as end:
        main(["verify", out])
    said = capsys.readouterr()
    assert end.value.code == 3
    assert "1 of 4 needed blocks verified" in said.out
    assert "3 of 4 needed blocks are not embedded" in said.err
    run(RunConfig(**job))
    with pytest.raises(SystemExit) as end:
        main(["verify", out, "--json"])
    assert end.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verified"], found["needed"]) == (4, 4)


def test_a_stopped_overwrite_goes_on_with_the_same_command(
    job: dict[str, Any], tmp_path: Path
) -> None:
    run(RunConfig(**job))
    with pytest.raises(InterruptedRunError, match="1 of 4"):
        run(RunConfig(**job), overwrite=True, executor=stop_after("EmbedTask", 1))
    seen = CountBlocks("read", tmp_path / "count")
    run(RunConfig(**job), overwrite=True, on_stage=seen)
    assert seen.count.stat().st_size == 3
    # It is finished now, so the next one starts from scratch; as it does after a run that did not.
    run(RunConfig(**job), overwrite=True, on_stage=seen)
    assert seen.count.stat().st_size == 3 + 4
    with pytest.raises(InterruptedRunError):
        run(
            RunConfig(**{**job, "output": str(tmp_path / "other")}),
            executor=stop_after("EmbedTask", 1),
        )
    run(RunConfig(**{**job, "output": str(tmp_path / "other")}), overwrite=True, on_stage=seen)
    assert seen.count.stat().st_size == 3 + 4 + 4


def test_many_blocks_that_fail_do_not_end_a_run_that_has_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = write_plain_job(tmp_path / "job", blocks=5)
    monkeypatch.chdir(tmp_path / "job")
    every = [f"r{row:03d}-c{col:03d}" for row in range(5) for col in range(5)]
    with pytest.raises(FailedRunError, match="the first 20 blocks all failed"):
        run(RunConfig(**job), on_stage=FailAt(tuple(every)))
    with pytest.raises(InterruptedRunError, match="3 of 25"):
        run(RunConfig(**job), executor=stop_after("EmbedTask", 3))
    done = run(RunConfig(**job), on_stage=FailAt(tuple(every)))
    assert len(done.record.failed) == 22
    assert done.geotiffs()
