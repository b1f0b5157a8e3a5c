"""Clusters that others run: clients that die, schedulers that die alone or stay away."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import yaml
from distributed import Client
from fixtures_faults import BLOCKS, TESTS, TIMES, CountBlocks, all_bytes, environment, size
from fixtures_waiting import HANG_S, free_port, wait_until

from s2s_map.config.run import RunConfig
from s2s_map.errors import ClusterUnavailableError
from s2s_map.pipeline.engine import dask_cluster as clusters
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("forked_processes")]


@dataclass
class Cluster:
    """A scheduler and its workers, processes of their own, as somebody else would run them.

    Attributes:
        port: The scheduler's.
        scheduler: Its process.
        workers: Theirs.
    """

    port: int
    scheduler: subprocess.Popen[bytes] = field(init=False)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start_scheduler(self) -> None:
        self.scheduler = _dask(
            "dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"
        )

    def start_worker(self) -> None:
        options = ("--no-nanny", "--no-dashboard", "--nthreads", "2")
        self.workers.append(_dask("dask_worker", self.address, *options))

    def has_workers(self) -> bool:
        """Whether workers have found the scheduler."""
        with Client(self.address, timeout=HANG_S, set_as_default=False) as other:
            return bool(other.nthreads())

    def kill_scheduler(self) -> None:
        self.scheduler.kill()
        self.scheduler.wait()


def _dask(program: str, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{program}", *options],
        env=environment(S2S_TEST_COST_MS="4"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@contextmanager
def running() -> Iterator[Cluster]:
    cluster = Cluster(free_port())
    cluster.start_scheduler()
    cluster.start_worker()
    try:
        yield cluster
    finally:
        for process in (cluster.scheduler, *cluster.workers):
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


def config_for(job: dict[str, Any], out: Path, cluster: Cluster, **about: Any) -> dict[str, Any]:
    use = {"use": cluster.address, "in_flight": 1, "wait_s": 60, **about}
    return {**job, "output": str(out), "cluster": use}


def strike(*about: object) -> int:
    # Not for secrets: which block is struck.
    seed = os.environ.get("S2S_MAP_FAULTS_SEED", time.time_ns())
    return random.Random(f"{about} {seed}").randint(1, BLOCKS // 2)  # noqa: S311


def when(reached: Callable[[], bool], act: Callable[[], None], over: Event) -> Thread:
    """Act once something is reached, or not at all if all is over before."""

    def wait() -> None:
        wait_until(lambda: over.is_set() or reached())
        if not over.is_set():
            act()

    thread = Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("again", range(TIMES))
def test_the_client_of_a_cluster_killed(
    job: dict[str, Any], undisturbed: dict[str, bytes], tmp_path: Path, again: int
) -> None:
    """What it had in flight ends; the cluster goes on, and so does the next client on it."""
    out, read, written = tmp_path / "out", tmp_path / "read", tmp_path / "written"
    with running() as cluster:
        config = tmp_path / "job.yaml"
        config.write_text(yaml.safe_dump(config_for(job, out, cluster)))
        script = [sys.executable, TESTS / "faults" / "run_counted.py", config, read]
        client = subprocess.Popen([*script], env=environment())
        try:
            nth = strike("client", again)
            wait_until(lambda: size(read) >= nth, client)
        finally:
            client.send_signal(signal.SIGKILL)
            client.wait()
        at_kill = size(read)
        assert at_kill >= nth
        # At work on one and one that waits: no more of it is begun, and those end.
        time.sleep(3.0)
        begun = size(read)
        shards = {path: path.stat().st_mtime_ns for path in out.rglob("embedding/c/**/*")}
        assert begun <= at_kill + 2
        assert begun < BLOCKS
        # That nothing comes is not an event to wait for.
        time.sleep(2.0)
        assert size(read) == begun
        assert {p: p.stat().st_mtime_ns for p in out.rglob("embedding/c/**/*")} == shards
        assert run_status(out).state == "killed"
        finished = run_status(out).blocks_done
        assert cluster.workers[0].poll() is None
        # The same workers, which may still have the task of the run before.
        done = run(config, on_stage=CountBlocks("record", written))
        assert size(written) == BLOCKS - finished
    assert all_bytes(out) == undisturbed
    assert verify(done.folder) == []


@pytest.mark.parametrize("again", range(TIMES))
def test_the_scheduler_alone_killed(
    job: dict[str, Any], undisturbed: dict[str, bytes], tmp_path: Path, again: int
) -> None:
    """Workers outlive it, end when they see it gone, and are started again as by systemd."""
    read, over = tmp_path / "read", Event()
    nth = strike("scheduler", again)
    with running() as cluster:

        def restart() -> None:
            old = cluster.workers[0]
            cluster.kill_scheduler()
            assert old.poll() is None
            cluster.start_scheduler()
            wait_until(lambda: over.is_set() or old.poll() is not None)
            cluster.start_worker()

        fault = when(lambda: size(read) >= nth, restart, over)
        try:
            config = RunConfig(**config_for(job, tmp_path / "out", cluster))
            done = run(config, on_stage=CountBlocks("read", read))
        finally:
            over.set()
            fault.join()
        assert len(cluster.workers) == 2
    assert done.record.failed == {}
    assert done.record.counts["blocks"] == BLOCKS
    assert all_bytes(tmp_path / "out") == undisturbed


def test_a_scheduler_that_stays_away_is_worth_another_start(
    job: dict[str, Any],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, over, out = tmp_path / "read", Event(), tmp_path / "out"
    with running() as cluster:
        wait_until(cluster.has_workers)
        config = RunConfig(**config_for(job, out, cluster, wait_s=2))
        fault = when(lambda: size(read) >= 3, cluster.kill_scheduler, over)
        try:
            with pytest.raises(ClusterUnavailableError) as away:
                run(config, on_stage=CountBlocks("read", read))
        finally:
            over.set()
            fault.join()
        assert away.value.exit_code == 75
        # The next start finds nobody at an address that has answered: away still, not misspelt.
        monkeypatch.setattr(clusters, "_CONNECT_S", 1.0)
        with pytest.raises(ClusterUnavailableError, match="no Dask scheduler answers") as away:
            run(config)
        assert away.value.exit_code == 75
    assert run_status(out).state == "failed"
    assert 0 < run_status(out).blocks_done < BLOCKS
    run(RunConfig(**{**job, "output": str(out)}))
    assert all_bytes(out) == undisturbed
