"""Clusters that cannot do the work, with real workers: each is refused, or told of, in a line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fixtures_models import write_model_folder
from fixtures_plain_model import write_plain_job
from fixtures_processes import forked

from s2s_map.config.cluster import ClusterConfig
from s2s_map.config.run import RunConfig
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import ClusterError
from s2s_map.pipeline.embed.block_task import EmbedTask
from s2s_map.pipeline.engine.dask_cluster import open_executor
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.run import run
from s2s_map.reporter import Reporter

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        yield cluster


@contextmanager
def worker(
    scheduler: Any, path: Path = TESTS, within: Sequence[str] = (), **environment: str
) -> Iterator[ClusterConfig]:
    """A worker process of its own that finds `path` before the installed packages."""
    address = scheduler.scheduler_address
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny"]
    # A fresh interpreter where it is to import what a fork of this one's has imported already.
    fresh = within or path != TESTS
    with nullcontext() if fresh else forked():
        process = subprocess.Popen(
            [*within, *command, "--nthreads", "1", "--no-dashboard"],
            env={**os.environ, "PYTHONPATH": str(path), **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    try:
        yield ClusterConfig(use=address, wait_s=60)
    finally:
        process.terminate()
        process.wait()


class Notes(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def one_line(error: pytest.ExceptionInfo[ClusterError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(("package", "folder"), [("zarr", "zarr"), ("s2s-map", "s2s_map")])
def test_a_worker_with_another_version(
    scheduler: Any, tmp_path: Path, package: str, folder: str
) -> None:
    about = tmp_path / f"{folder}-0.0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.0.1\n")
    with (
        worker(scheduler, tmp_path) as cluster,
        pytest.raises(ClusterError) as refused,
        open_executor(cluster, "x"),
    ):
        pass
    text = one_line(refused)
    assert f"other versions: {package} 0.0.1 there, {version(package)} here" in text
    assert "requirements.txt" in text


def test_a_worker_of_another_python(scheduler: Any, tmp_path: Path) -> None:
    # Python imports this module, if there is one, before anything else.
    (tmp_path / "sitecustomize.py").write_text(
        "from distributed import versions\n"
        "real = versions.get_system_info\n"
        "versions.get_system_info = lambda: {**real(), 'python': '3.9.1.final.0'}\n"
    )
    with (
        worker(scheduler, tmp_path) as cluster,
        pytest.raises(ClusterError) as refused,
        open_executor(cluster, "x"),
    ):
        pass
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"other versions: Python 3.9 there, {here} here" in one_line(refused)


def test_a_worker_whose_clock_is_an_hour_ahead(scheduler: Any, tmp_path: Path) -> None:
    # Python imports this module, if there is one, before anything else.
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nreal = time.time\ntime.time = lambda: real() + 3600.0\n"
    )
    notes = Notes()
    with worker(scheduler, tmp_path) as cluster, open_executor(cluster, "x", notes):
        pass
    (line,) = notes.said
    assert "3600 s ahead of this machine's" in line
    assert "signed links" in line


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    job = write_plain_job(tmp_path, blocks=1)
    write_model_folder(tmp_path / "models" / "here-only")
    monkeypatch.setenv("S2S_MAP_MODELS", str(tmp_path / "models"))
    return {**job, "model": "here-only", "patches": {"stride_m": 80}}


def test_a_worker_without_the_model(scheduler: Any, job: dict[str, Any], tmp_path: Path) -> None:
    with (
        worker(scheduler, S2S_MAP_MODELS=str(tmp_path / "nothing")) as cluster,
        pytest.raises(ClusterError) as refused,
    ):
        run(RunConfig(**job, cluster=cluster.model_dump()))
    text = one_line(refused)
    assert "cannot work on this run: unknown model 'here-only'" in text
    assert "workers need the same packages, device, models" in text
    assert not (tmp_path / "out" / "maps.zarr").exists()


def test_a_worker_without_the_gpu_asked_for(
    scheduler: Any, job: dict[str, Any], tmp_path: Path
) -> None:
    asked = resolve(RunConfig(**job))
    # As from a machine with a GPU: here the run itself would be refused before.
    asked = replace(asked, config=asked.config.model_copy(update={"device": "cuda"}))
    store = EmbeddingsStore.create(
        tmp_path / "e.zarr", asked.grid, asked.card.config.dim, asked.time_slots, {}
    )
    with (
        worker(scheduler, CUDA_VISIBLE_DEVICES="") as cluster,
        pytest.raises(ClusterError) as refused,
        open_executor(cluster, "x") as executor,
    ):
        list(executor.run(EmbedTask(asked, store), asked.grid.blocks(), Event()))
    assert "cannot work on this run: " in one_line(refused)
    assert "cuda" in one_line(refused)


def can_unshare() -> bool:
    try:
        done = subprocess.run(
            ["unshare", "--mount", "--map-root-user", "true"], capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="no mount namespaces here")
def test_a_worker_that_does_not_see_the_output(
    scheduler: Any, job: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    hide = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    hide += ['mount -t tmpfs none "$0" && exec "$@"', str(tmp_path / "out")]
    plain = {**job, "model": "python:fixtures_plain_model:PLAIN"}
    with (
        worker(scheduler, within=hide) as cluster,
        pytest.raises(ClusterError) as refused,
    ):
        run(RunConfig(**plain, cluster=cluster.model_dump()))
    text = one_line(refused)
    assert "cannot work on this run" in text
    assert "embeddings.zarr" in text
