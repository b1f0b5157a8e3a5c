"""Runs on Dask clusters: the same bytes as on threads, and clusters that cannot be used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count, islice, pairwise
from pathlib import Path
from threading import Event
from typing import Any, ClassVar

import pytest
import yaml
from fixtures_faults import NeedsModel, all_bytes
from fixtures_job import write_job
from fixtures_plain_model import write_plain_job
from fixtures_processes import forked
from fixtures_waiting import free_port

from s2s_map.config.cluster import ClusterConfig
from s2s_map.config.making_time import VARIABLE
from s2s_map.config.run import RunConfig, load_run_config
from s2s_map.embeddings.schema import read_store_mark
from s2s_map.errors import ClusterError, ModelError, OutputError, OutputUnavailableError
from s2s_map.outputs.disk_ledger import JournalLedger
from s2s_map.outputs.ledger import RunStart
from s2s_map.pipeline.engine import dask_cluster as clusters
from s2s_map.pipeline.engine import dask_executor, dask_versions
from s2s_map.pipeline.engine.dask_cluster import open_executor
from s2s_map.pipeline.engine.dask_executor import DaskExecutor
from s2s_map.pipeline.engine.dask_versions import check_versions, version_differences
from s2s_map.pipeline.engine.dask_worker import TaskPlugin, prepare_task
from s2s_map.pipeline.engine.executor import ThreadsExecutor
from s2s_map.pipeline.verbs.run import run
from s2s_map.reporter import Reporter

TESTS = Path(__file__).parents[2]
S2S_MAP = Path(sys.executable).with_name("s2s-map")
MANY = int(os.environ.get("S2S_MAP_MANY_BLOCKS", "1000"))
"""S2S_MAP_MANY_BLOCKS=100000 is the full test, of some minutes; see CONTRIBUTING.md."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[DaskExecutor]:
    with open_executor(ClusterConfig(use="local", workers=2), "tests") as executor:
        assert isinstance(executor, DaskExecutor)
        yield executor


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_plain_job(tmp_path_factory.mktemp("plain") / "job", blocks=3)


def test_same_bytes_wherever_a_plain_model_runs(
    plain: dict[str, Any], cluster: DaskExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(plain["output"]).parent)
    found = {}
    for name, executor in (
        ("one", ThreadsExecutor(1)),
        ("two", ThreadsExecutor(2)),
        ("local", cluster),
    ):
        config = RunConfig(**{**plain, "output": str(tmp_path / name)})
        found[name] = all_bytes(run(config, executor=executor).folder)
    assert found["two"] == found["one"]
    assert found["local"] == found["one"]


def test_same_bytes_wherever_a_network_runs(
    cluster: DaskExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    # An item of imagery without a time has that of its making.
    monkeypatch.setenv(VARIABLE, "1767312000")
    job = write_job(tmp_path / "job", batch_size=16, device="cpu")
    monkeypatch.chdir(job.parent)
    # Sums of a network depend on the number of threads: as many here as on each worker.
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, clusters.usable_cores() // 2))
    found, settings = {}, {}
    try:
        for name, executor in (
            ("one", ThreadsExecutor(1)),
            ("two", ThreadsExecutor(2)),
            ("local", cluster),
        ):
            config = load_run_config(job).model_copy(update={"output": str(tmp_path / name)})
            folder = run(config, executor=executor).folder
            found[name] = all_bytes(folder)
            records = JournalLedger(folder / "ledger.jsonl").state().records.values()
            settings[name] = {(r.batch_size, r.threads, r.device) for r in records}
            if executor is cluster:
                assert clusters_of(folder) == "local"
    finally:
        torch.set_num_threads(threads)
    assert settings["one"] == settings["two"] == settings["local"]
    assert {batch for batch, _, _ in settings["local"]} == {16}
    assert found["two"] == found["one"]
    assert found["local"] == found["one"]


def shown(item: str, stop: Event) -> tuple[str, str]:
    """What a worker's log and texts make of a key."""
    import io
    import logging

    from s2s_map.redaction import redacted

    written = io.StringIO()
    handler = logging.StreamHandler(written)
    log = logging.getLogger("somebody.elses")
    log.addHandler(handler)
    log.warning("GET https://host/%s failed", item)
    log.removeHandler(handler)
    return redacted(f"https://host/{item}"), written.getvalue()


def test_workers_know_what_is_secret(cluster: DaskExecutor) -> None:
    from s2s_map.redaction import remember

    remember("S2S_TEST_WORKER_KEY", "wor-ker-s3cret")
    (outcome,) = cluster.run(shown, ["wor-ker-s3cret"], Event())
    assert outcome.result is not None
    text, logged = outcome.result
    assert text == "https://host/${S2S_TEST_WORKER_KEY}"
    assert logged == "GET https://host/${S2S_TEST_WORKER_KEY} failed\n"


def test_a_query_on_a_cluster_gives_the_same_bytes(
    plain: dict[str, Any], cluster: DaskExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s2s_map.pipeline.verbs.query import query

    monkeypatch.chdir(Path(plain["output"]).parent)
    run(RunConfig(**{**plain, "output": str(tmp_path / "here")}))
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    seen = []

    class Watch(DaskExecutor):
        def run(self, task: Any, items: Any, stop: Event) -> Any:
            seen.append(type(task).__name__)
            return super().run(task, items, stop)

    monkeypatch.setattr(dask_executor, "DaskExecutor", Watch)
    address = cluster.client.scheduler_info(n_workers=0)["address"]
    query(tmp_path / "here", "rain")
    assert seen == []
    query(tmp_path / "there", "rain", cluster=ClusterConfig(use=address))
    assert seen == ["RegionTask", "LayerTask"]
    assert all_bytes(tmp_path / "there") == all_bytes(tmp_path / "here")


class Notes(Reporter):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def store_id(folder: Path) -> str | None:
    return read_store_mark(folder / "embeddings.zarr")[0]


def clusters_of(folder: Path) -> str:
    started = JournalLedger(folder / "ledger.jsonl").state().run
    assert started is not None
    return started.cluster


def test_the_command_line_starts_a_cluster_and_ends_it(
    plain: dict[str, Any], tmp_path: Path
) -> None:
    config = tmp_path / "job.yaml"
    settings = {**plain, "output": str(tmp_path / "out"), "cluster": {"workers": 1}}
    config.write_text(yaml.safe_dump(settings))
    done = subprocess.run(
        [S2S_MAP, "run", config, "--cluster", "local"],
        cwd=Path(plain["output"]).parent,
        env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert clusters_of(tmp_path / "out") == "local"
    assert json.loads((tmp_path / "out" / "run.json").read_text())["counts"]["blocks"] == 9


def test_the_performance_report_is_written(tmp_path: Path) -> None:
    report, notes = tmp_path / "report.html", Notes()
    local = ClusterConfig(use="local", workers=1)
    with forked(), open_executor(local, "report", notes, report) as executor:
        found = sorted(o.result for o in executor.run(Double(), range(5), Event()))
    assert found == [0, 2, 4, 6, 8]
    assert "<html" in report.read_text(encoding="utf-8")
    assert notes.said == []


def test_a_performance_report_that_fails_is_a_note(cluster: DaskExecutor, tmp_path: Path) -> None:
    report, notes = tmp_path / "report.html", Notes()
    with clusters._reported(cluster, report, notes):
        report.mkdir()
    assert len(notes.said) == 1
    assert "no performance report in" in notes.said[0]


def test_a_performance_report_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    report = tmp_path / "none" / "report.html"
    local = ClusterConfig(use="local", workers=1)
    with (
        pytest.raises(OutputError, match=r"report\.html cannot be written"),
        open_executor(local, "report", None, report),
    ):
        pytest.fail("the cluster was started")


def test_a_scheduler_that_is_not_there_is_refused_in_a_line(
    plain: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.chdir(Path(plain["output"]).parent)
    monkeypatch.setattr(clusters, "_CONNECT_S", 1.0)
    address = f"tcp://127.0.0.1:{port}"
    config = RunConfig(**{**plain, "output": str(tmp_path / "out"), "cluster": address})
    # Not after `wait_s`, which is for the workers of a scheduler that answers.
    says = rf"no Dask scheduler answers at {address} within 1 s"
    with pytest.raises(ClusterError, match=says) as refused:
        run(config)
    assert "\n" not in str(refused.value)
    # An address that never answered is more likely misspelt than away; one that has, is away.
    assert refused.value.exit_code == 2
    with JournalLedger(
        tmp_path / "out" / "ledger.jsonl", store=store_id(tmp_path / "out")
    ) as begun:
        begun.start(RunStart(9, 100, 100, "tcp"))
    with pytest.raises(ClusterError, match="no Dask scheduler answers") as refused:
        run(config)
    assert refused.value.exit_code == 75


def test_workers_of_other_versions_are_refused(
    cluster: DaskExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_versions(cluster.client)
    real = dask_versions._probe

    def probe() -> Any:
        there = real()
        here = os.getpid()

        # Travels as its code, as the real one does: another answer in this process only.
        def versions(names: tuple[str, ...]) -> dict[str, str | None]:
            import os

            return {**there(names), **({"zarr": "1.0"} if os.getpid() == here else {})}

        return versions

    monkeypatch.setattr(dask_versions, "_probe", probe)
    with pytest.raises(ClusterError, match=r"worker .* other versions: zarr .* there, 1\.0 here"):
        check_versions(cluster.client)


def test_version_differences() -> None:
    here = {"torch": "2.8.0+cpu", "zarr": "3.1", "timm": "1.0"}
    there = {"torch": "2.8.0+cu128", "zarr": "3.0"}
    assert version_differences(there, here) == [
        "zarr 3.0 there, 3.1 here",
        "timm missing there, 1.0 here",
    ]


def test_cuda_needs_dask_cuda_and_a_gpu() -> None:
    import torch

    if find_spec("dask_cuda") is not None and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    says = "a GPU" if find_spec("dask_cuda") else "not installed: dask_cuda"
    with pytest.raises(ClusterError, match=says), open_executor(ClusterConfig(use="cuda"), "x"):
        pass


@dataclass(frozen=True)
class Double:
    """As little as a task can do."""

    def __call__(self, item: int, stop: Event) -> int:
        return 2 * item


@pytest.mark.parametrize("fits", [True, False])
def test_a_worker_that_joins_late_and_cannot_work_is_sent_away(fits: bool) -> None:
    from distributed import Client, LocalCluster

    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    notes = Notes()
    with (
        forked(),
        LocalCluster(n_workers=1, threads_per_worker=2, host="127.0.0.1", **quiet) as here,
        Client(here, set_as_default=False) as client,
    ):
        command = [sys.executable, "-m", "distributed.cli.dask_worker", here.scheduler_address]
        environment = {**os.environ, "PYTHONPATH": str(TESTS), "S2S_TEST_NO_MODEL": "1"}
        if fits:
            del environment["S2S_TEST_NO_MODEL"]
        worker = subprocess.Popen(
            [*command, "--nthreads", "2", "--no-dashboard"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:

            def items() -> Iterator[int]:
                """More, until the late worker has its share, or was removed, and some after."""
                numbers = count()
                for item in numbers:
                    yield item
                    if settled():
                        break
                yield from islice(numbers, 20)

            def settled() -> bool:
                workers = here.scheduler.workers.values()
                if fits:
                    return len(workers) == 2 and all(worker.processing for worker in workers)
                return len(workers) == 1 and bool(notes.said)

            executor = DaskExecutor(client, "tcp", "late", note=notes.note)
            outcomes = list(executor.run(NeedsModel(), items(), Event()))
            assert [o.error for o in outcomes if o.error] == []
            assert sorted(o.result for o in outcomes) == [2 * i for i in range(len(outcomes))]
            assert len(client.nthreads()) == (2 if fits else 1)
            assert [("no model here" in said) for said in notes.said] == ([] if fits else [True])
        finally:
            worker.terminate()
            worker.wait()


def test_a_worker_that_joins_late_with_other_versions_does_not_work() -> None:
    plugin: Any = TaskPlugin("late", Double(), 2)
    plugin._versions = {**plugin._versions, "zarr": "1.0"}
    plugin.setup(None)
    try:
        assert "other versions: zarr" in str(prepare_task("late"))
    finally:
        plugin.teardown(None)


def test_what_two_workers_say_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client, LocalCluster

    monkeypatch.setenv("S2S_TEST_NO_MODEL", "1")
    notes = Notes()
    with (
        LocalCluster(n_workers=2, processes=False, dashboard_address="127.0.0.1:0") as here,
        Client(here, set_as_default=False) as client,
    ):
        executor = DaskExecutor(client, "tcp", "none", note=notes.note)
        with pytest.raises(ModelError, match="no model here"):
            list(executor.run(NeedsModel(), range(10), Event()))
    assert len(notes.said) == 1


@dataclass
class Away:
    """A task whose storage is away for the first of its calls."""

    calls: ClassVar[list[int]] = []

    def __call__(self, item: int, stop: Event) -> int:
        self.calls.append(item)
        if len(self.calls) == 1:
            raise OutputUnavailableError("503 SlowDown")
        return item


def test_storage_that_is_away_for_one_call_costs_no_worker() -> None:
    from distributed import Client, LocalCluster

    notes = Notes()
    with (
        LocalCluster(n_workers=2, processes=False, dashboard_address="127.0.0.1:0") as here,
        Client(here, set_as_default=False) as client,
    ):
        executor = DaskExecutor(client, "tcp", "away", note=notes.note)
        outcomes = list(executor.run(Away(), range(6), Event()))
        assert len(client.nthreads()) == 2
    assert sorted(outcome.result for outcome in outcomes) == list(range(6))
    assert notes.said == []


def test_however_many_blocks_few_are_in_flight() -> None:
    import psutil
    from distributed import Client, LocalCluster

    taken = done = most = 0
    held: set[int] = set()
    # Client, scheduler and workers are this process: its memory, MB, and clock at each tenth.
    process, memory, clock = psutil.Process(), [], []

    def items() -> Iterator[int]:
        nonlocal taken, most
        for item in range(MANY):
            taken += 1
            most = max(most, taken - done)
            yield item

    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            processes=False,
            dashboard_address="127.0.0.1:0",
        ) as here,
        Client(here, set_as_default=False) as client,
    ):
        executor = DaskExecutor(client, "local", "many", in_flight=2)
        for outcome in executor.run(Double(), items(), Event()):
            assert outcome.result == 2 * outcome.item
            done += 1
            held.add(len(here.scheduler.tasks))
            held.add(len(client.futures))
            if done % (MANY // 10) == 0:
                memory.append(process.memory_info().rss / 1e6)
                clock.append(time.process_time())
    assert done == MANY
    # Two workers, two at work on each and one that waits. What is finished is forgotten late.
    assert most <= 2 * 3 + 1
    assert max(held) <= 50
    assert memory[-1] - memory[1] < 50
    if MANY >= 10_000:
        tenths = [after - before for before, after in pairwise(clock)]
        print(f"processor seconds a tenth {tenths}, MB {memory}")
        # Linear: the last tenths take no longer than the first.
        assert sum(tenths[-3:]) < 2 * sum(tenths[:3])
