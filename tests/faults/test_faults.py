"""Runs that are killed, starved and stopped end with the same bytes as undisturbed ones.

Each fault strikes at a random block. ``S2S_MAP_FAULTS=20 pytest -m faults`` strikes twenty times.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import dask
import pytest
import yaml
from distributed.core import Status
from fixtures_faults import (
    BLOCKS,
    S2S_MAP,
    TESTS,
    TIMES,
    CountBlocks,
    DieAt,
    FailAt,
    FillAt,
    KillAt,
    all_bytes,
    environment,
    size,
)
from fixtures_plain_model import write_plain_job
from fixtures_waiting import free_port, wait_until

from s2s_map.config.run import RunConfig
from s2s_map.errors import FailedRunError, OutputError
from s2s_map.outputs.disk_ledger import JournalLedger
from s2s_map.pipeline.embed.block_task import STAGES
from s2s_map.pipeline.engine import dask_worker_watch as worker_watch
from s2s_map.pipeline.engine.dask_cluster import open_executor
from s2s_map.pipeline.engine.dask_executor import DaskExecutor
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("forked_processes")]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_plain_job(tmp_path_factory.mktemp("faults") / "job", blocks=4)


@pytest.fixture(autouse=True)
def _catalog_in_folder(job: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(job["output"]).parent)


@pytest.fixture(scope="module")
def undisturbed(job: dict[str, Any]) -> dict[str, bytes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(job["output"]).parent)
        return all_bytes(run(RunConfig(**job)).folder)


@pytest.fixture(scope="module")
def cluster() -> Iterator[DaskExecutor]:
    config = RunConfig(output="x", source="x", queries=[{"text": "x"}]).cluster
    local = config.model_copy(update={"use": "local", "workers": 2})
    # A block that kills its workers is given up after two of them instead of four: it takes
    # seconds to start each.
    few = dask.config.set({"distributed.scheduler.allowed-failures": 1})
    with few, open_executor(local, "faults") as executor:
        assert isinstance(executor, DaskExecutor)
        yield executor


def config_for(job: dict[str, Any], out: Path, **changes: Any) -> RunConfig:
    return RunConfig(**{**job, "output": str(out), **changes})


def rng(*about: object) -> random.Random:
    # Not for secrets: which block is struck.
    return random.Random(  # noqa: S311
        f"{about} {os.environ.get('S2S_MAP_FAULTS_SEED', time.time_ns())}"
    )


@pytest.mark.parametrize("again", range(TIMES))
@pytest.mark.parametrize("stage", STAGES)
def test_worker_killed(
    job: dict[str, Any],
    undisturbed: dict[str, bytes],
    cluster: DaskExecutor,
    tmp_path: Path,
    stage: str,
    again: int,
) -> None:
    kill = KillAt(stage, rng(stage, again).randint(1, BLOCKS), tmp_path / "count")
    done = run(config_for(job, tmp_path / "out"), executor=cluster, on_stage=kill)
    assert kill.count.stat().st_size > BLOCKS
    assert done.record.counts["blocks"] == BLOCKS
    assert done.record.failed == {}
    assert all_bytes(done.folder) == undisturbed


@pytest.mark.parametrize("again", range(TIMES))
@pytest.mark.parametrize("stage", STAGES)
def test_client_killed(
    job: dict[str, Any], undisturbed: dict[str, bytes], tmp_path: Path, stage: str, again: int
) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(yaml.safe_dump({**job, "output": str(tmp_path / "out")}))
    nth = str(rng(stage, again).randint(1, BLOCKS))
    script = [sys.executable, str(TESTS / "faults" / "run_plain.py"), str(config), stage, nth]
    killed = subprocess.run([*script, str(tmp_path / "count")], env=environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert run_status(tmp_path / "out").state == "killed"
    finished = len(JournalLedger(tmp_path / "out" / "ledger.jsonl").state().records)
    seen = CountBlocks("read", tmp_path / "resumed")
    done = run(config, on_stage=seen)
    assert seen.count.stat().st_size == BLOCKS - finished
    assert all_bytes(done.folder) == undisturbed
    assert verify(done.folder) == []


@pytest.mark.parametrize("again", range(TIMES))
def test_scheduler_killed_and_restarted(
    job: dict[str, Any], undisturbed: dict[str, bytes], tmp_path: Path, again: int
) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    running = _dask(port)
    strike = rng(again).randint(1, BLOCKS // 2)
    seen = CountBlocks("record", tmp_path / "count")

    def kill_and_restart() -> None:
        wait_until(lambda: size(seen.count) >= strike)
        for process in running:
            process.kill()
            process.wait()
        running[:] = _dask(port)

    fault = Thread(target=kill_and_restart)
    fault.start()
    cluster = {"use": address, "in_flight": 1, "wait_s": 60}
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("S2S_TEST_COST_MS", "2")
            done = run(config_for(job, tmp_path / "out", cluster=cluster), on_stage=seen)
    finally:
        fault.join()
        for process in running:
            process.kill()
            process.wait()
    assert done.record.counts["blocks"] == BLOCKS
    assert all_bytes(done.folder) == undisturbed


@pytest.mark.parametrize("again", range(TIMES))
def test_disk_full_half_way_then_freed(
    job: dict[str, Any], undisturbed: dict[str, bytes], tmp_path: Path, again: int
) -> None:
    config = config_for(job, tmp_path / "out")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    ledger = tmp_path / "out" / "ledger.jsonl"
    try:
        full = FillAt(rng(again).randint(3, BLOCKS - 2), tmp_path / "count", ledger)
        with pytest.raises(OutputError, match="cannot write"):
            run(config, on_stage=full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)
    finished = run_status(tmp_path / "out").blocks_done
    assert 0 < finished < BLOCKS
    done = run(config)
    assert done.record.counts["patches_embedded_now"] < done.record.counts["patches"]
    assert all_bytes(done.folder) == undisturbed


def test_out_of_device_memory_takes_smaller_batches(
    job: dict[str, Any],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("S2S_TEST_MEMORY", "5")
    done = run(config_for(job, tmp_path / "out"))
    records = JournalLedger(done.folder / "ledger.jsonl").state().records.values()
    assert {record.batch_size for record in records} == {4}
    # This encoder takes each patch for itself; a network's sums may differ in the last bits.
    assert all_bytes(done.folder) == undisturbed


@pytest.mark.parametrize("use", ["threads", "local"])
def test_a_block_that_always_fails(
    job: dict[str, Any],
    undisturbed: dict[str, bytes],
    cluster: DaskExecutor,
    tmp_path: Path,
    use: str,
) -> None:
    bad = rng(use).choice(["r000-c001", "r002-c003", "r003-c000"])
    config = config_for(job, tmp_path / "out")
    executor = cluster if use == "local" else None
    done = run(config, executor=executor, on_stage=FailAt((bad,)))
    assert list(done.record.failed) == [bad]
    assert "no imagery" in done.record.failed[bad]
    status = run_status(done.folder)
    assert (status.state, status.blocks_done) == ("incomplete", BLOCKS - 1)
    assert list(status.failed) == [bad]
    mended = run(config)
    assert mended.record.failed == {}
    assert all_bytes(mended.folder) == undisturbed


def test_a_block_that_kills_its_workers(
    job: dict[str, Any], undisturbed: dict[str, bytes], cluster: DaskExecutor, tmp_path: Path
) -> None:
    config = config_for(job, tmp_path / "out")
    done = run(config, executor=cluster, on_stage=DieAt("r001-c002"))
    assert list(done.record.failed) == ["r001-c002"]
    assert "KilledWorker" in done.record.failed["r001-c002"]
    assert all_bytes(run(config).folder) == undisturbed


def test_a_worker_that_the_cluster_gave_up_is_replaced(
    job: dict[str, Any], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    config = config_for(job, tmp_path / "out")
    one = config.cluster.model_copy(update={"use": "local", "workers": 1, "wait_s": 30.0})
    # Dask drops a worker that is not back within 15 s: on a busy machine it may take longer.
    hasty = dask.config.set({"distributed.deploy.lost-worker-timeout": "50 ms"})
    with hasty, open_executor(one, "given up") as executor:
        done = run(config, executor=executor, on_stage=KillAt("read", 3, tmp_path / "count"))
    assert all_bytes(done.folder) == undisturbed


def test_workers_that_died_while_they_started_are_replaced(
    job: dict[str, Any],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_watch, "DEAD_S", 1.0)
    config = config_for(job, tmp_path / "out")
    two = config.cluster.model_copy(update={"use": "local", "workers": 2, "wait_s": 60.0})
    with open_executor(two, "starting") as executor:
        assert isinstance(executor, DaskExecutor)
        for nanny in list(executor.client.cluster.workers.values()):
            # What it is in until its worker has told that it runs: it does not restart it.
            nanny.status = Status.starting
            os.kill(nanny.pid, signal.SIGKILL)
        done = run(config, executor=executor)
    assert all_bytes(done.folder) == undisturbed


def test_nothing_works(job: dict[str, Any], tmp_path: Path) -> None:
    every = tuple(f"r{row:03d}-c{col:03d}" for row in range(4) for col in range(4))
    with pytest.raises(FailedRunError, match=r"no imagery for r0") as failed:
        run(config_for(job, tmp_path / "out"), on_stage=FailAt(every))
    assert failed.value.exit_code == 2
    assert not (tmp_path / "out" / "maps.zarr").exists()


@pytest.mark.parametrize("again", range(TIMES))
@pytest.mark.parametrize("use", ["threads", "local"])
def test_sigterm(
    job: dict[str, Any], undisturbed: dict[str, bytes], tmp_path: Path, use: str, again: int
) -> None:
    config = tmp_path / "job.yaml"
    out = tmp_path / "out"
    cluster = {"use": use, "workers": 1}
    config.write_text(yaml.safe_dump({**job, "output": str(out), "cluster": cluster}))
    slow = environment(S2S_TEST_COST_MS="5")
    strike = rng(use, again).randint(1, BLOCKS // 2)
    process = subprocess.Popen(
        [S2S_MAP, "run", config], env=slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    ledger = JournalLedger(out / "ledger.jsonl")
    wait_until(lambda: len(ledger.state().records) >= strike, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 4, err.decode()
    assert b"start the same run again" in err
    status = run_status(out)
    assert status.state == "stopped"
    assert strike <= status.blocks_done < BLOCKS
    assert all_bytes(run(config_for(job, out)).folder) == undisturbed


def test_exit_code_3_names_the_block(
    job: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from s2s_map.cli.main import main

    config = config_for(job, tmp_path / "out")
    run(config, on_stage=FailAt(("r001-c001",)))
    for arguments, code, says in (
        (["status", config.output], 0, "r001-c001: no imagery for r001-c001"),
        (["verify", config.output], 3, "15 of 16 needed blocks verified"),
    ):
        with pytest.raises(SystemExit) as end:
            main([*arguments])
        assert int(end.value.code or 0) == code
        assert says in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["status", config.output, "--json"])
    status = json.loads(capsys.readouterr().out)
    assert status["failed"] == {"r001-c001": "no imagery for r001-c001; look for it"}


def _dask(port: int) -> list[subprocess.Popen[bytes]]:
    python = [sys.executable, "-m"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    env = environment(S2S_TEST_COST_MS="2")
    scheduler = [*python, "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    worker = [*python, "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--no-nanny"]
    return [
        subprocess.Popen([*scheduler, "--port", str(port), "--no-dashboard"], env=env, **quiet),
        subprocess.Popen([*worker, "--no-dashboard", "--nthreads", "2"], env=env, **quiet),
    ]
