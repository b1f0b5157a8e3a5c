"""Blocks of one run made under the kernels of different processors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from fixtures_cli import call
from fixtures_faults import FailAt, environment
from fixtures_job import write_job

from s2s_map.config.run import RunConfig, load_run_config
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.pipeline.job.run_record import read_record
from s2s_map.pipeline.verbs.compare_stores import TOLERANCE, compare
from s2s_map.pipeline.verbs.run import run

HERE = torch.backends.cpu.get_cpu_capability()
OTHER = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
}
"""An old processor, which every other one can act as."""

pytestmark = [
    pytest.mark.slow,  # three processes load torch and the model
    pytest.mark.skipif(
        HERE in {"DEFAULT", "NO AVX"}, reason="torch has one set of kernels for this processor"
    ),
]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job of the real embedded model over noise."""
    return write_job(
        tmp_path_factory.mktemp("kernels"),
        model="s2s-mini",
        device="cpu",
        batch_size=16,
        grid={"cell_m": 320, "block_cells": 8},
        patches={"stride_m": 1280},
    )


@pytest.fixture(scope="module")
def whole(job: Path) -> RunConfig:
    """A run under the kernels of this processor alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(job.parent)
        config = load_run_config(job)
        assert len({making.hardware for making in run(config).record.made_with}) == 1
    return config


def check_agreement(whole: RunConfig, mixed: Path) -> None:
    """Both ways are known to run.json, and no cell is further apart than is stated."""
    made = read_record(mixed / "run.json").made_with
    assert sorted(making.hardware.partition(",")[0] for making in made) == sorted(("DEFAULT", HERE))
    found = compare(whole.output, mixed)
    assert found.whole, found
    assert found.same >= 1
    assert found.largest <= TOLERANCE["fp32"]


def test_a_run_resumed_under_other_kernels_says_so(
    job: Path,
    whole: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(job.parent)
    out = tmp_path / "resumed"
    blocks = EmbeddingsStore.open(Path(whole.output) / "embeddings.zarr").grid.iter_blocks()
    late = FailAt(tuple(block.key for block in blocks)[2:])
    run(whole.model_copy(update={"output": str(out)}), on_stage=late)
    done = subprocess.run(
        [sys.executable, "-c", "from s2s_map.cli.main import main; main()", "run", job, "-o", out],
        env=environment(**OTHER), check=False, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 0, said
    assert "blocks were made in 2 ways, whose embeddings agree within 0.005" in said
    assert "on cpu (DEFAULT" in said
    assert f"on cpu ({HERE}" in said
    check_agreement(whole, out)
    assert call("status", out) == 0
    assert "on cpu (DEFAULT" in capsys.readouterr().out
    assert call("verify", out, "--against", whole.output, "--json") == 0
    assert json.loads(capsys.readouterr().out)["largest"] <= TOLERANCE["fp32"]


@contextmanager
def workers_of(*kernels: dict[str, str]) -> Iterator[str]:
    """A scheduler with one worker process for each; yields its address."""
    from distributed import Client, LocalCluster

    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(n_workers=0, host="127.0.0.1", **quiet))
        client = stack.enter_context(Client(cluster, set_as_default=False))
        for told in kernels:
            command = [sys.executable, "-m", "distributed.cli.dask_worker"]
            options = ["--no-nanny", "--no-dashboard", "--nthreads", "2"]
            worker = subprocess.Popen(
                [*command, cluster.scheduler_address, *options],
                env=environment(**told), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(worker.wait)
            stack.callback(worker.kill)
        client.wait_for_workers(len(kernels), timeout=300)
        yield cluster.scheduler_address


def test_workers_of_different_processors_agree(
    job: Path, whole: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(job.parent)
    out = tmp_path / "mixed"
    with workers_of({}, OTHER) as address:
        settings = {"output": str(out), "cluster": {"use": address, "in_flight": 1}}
        run(RunConfig(**{**whole.model_dump(mode="json", exclude_unset=True), **settings}))
    check_agreement(whole, out)
