"""Runs into an object store that are killed or stopped end with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures_faults import (
    BLOCKS,
    S2S_MAP,
    TESTS,
    TIMES,
    CountBlocks,
    KillAt,
    environment,
    result_bytes,
)
from fixtures_objects import new_bucket, object_bytes, serve_s3, use_s3
from fixtures_processes import forked
from fixtures_waiting import wait_until

from s2s_map.config.run import RunConfig
from s2s_map.outputs.path import ObjectPath
from s2s_map.outputs.s3_ledger import ObjectLedger
from s2s_map.pipeline.embed.block_task import STAGES
from s2s_map.pipeline.engine.dask_cluster import open_executor
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    # For the module: worker processes keep the environment that they were started with.
    with serve_s3() as url, pytest.MonkeyPatch.context() as patch:
        use_s3(patch, url)
        with forked():
            yield url


@pytest.fixture
def root(server: str) -> ObjectPath:
    return ObjectPath(f"s3://{new_bucket(server)}", "out")


@pytest.fixture(scope="module")
def undisturbed(job: dict[str, Any]) -> dict[str, bytes]:
    # What an object store has under the same names: links and metadata are its own.
    folder = run(RunConfig(**job)).folder
    assert isinstance(folder, Path)
    return result_bytes(folder)


def config_for(job: dict[str, Any], root: ObjectPath, **changes: Any) -> dict[str, Any]:
    return {**job, "output": str(root), **changes}


def nth(*about: object) -> int:
    # Not for secrets: which block is struck.
    seed = os.environ.get("S2S_MAP_FAULTS_SEED", time.time_ns())
    return random.Random(f"{about} {seed}").randint(1, BLOCKS)  # noqa: S311


@pytest.mark.parametrize("again", range(TIMES))
@pytest.mark.parametrize("stage", STAGES)
def test_client_killed(
    job: dict[str, Any],
    undisturbed: dict[str, bytes],
    root: ObjectPath,
    tmp_path: Path,
    stage: str,
    again: int,
) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(yaml.safe_dump(config_for(job, root)))
    script = [sys.executable, TESTS / "faults" / "run_plain.py", config, stage]
    killed = subprocess.run(
        [*script, str(nth(stage, again)), tmp_path / "count"],
        env=environment(),
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert run_status(str(root)).state == "killed"
    finished = len(ObjectLedger(root).state().records)
    seen = CountBlocks("read", tmp_path / "resumed")
    run(config, on_stage=seen)
    assert seen.count.stat().st_size == BLOCKS - finished
    assert object_bytes(root) == undisturbed
    assert verify(str(root)) == []


@pytest.mark.parametrize("again", range(TIMES))
def test_worker_killed(
    job: dict[str, Any],
    undisturbed: dict[str, bytes],
    root: ObjectPath,
    tmp_path: Path,
    again: int,
) -> None:
    plain = RunConfig(output="x", source="x", queries=[{"text": "x"}]).cluster
    local = plain.model_copy(update={"use": "local", "workers": 2})
    with open_executor(local, "objects") as cluster:
        for stage in STAGES if TIMES > 1 else random.sample(STAGES, 1):
            place = root / stage
            kill = KillAt(stage, nth(stage, again), tmp_path / stage)
            done = run(RunConfig(**config_for(job, place)), executor=cluster, on_stage=kill)
            assert kill.count.stat().st_size > BLOCKS
            assert done.record.failed == {}
            assert object_bytes(place) == undisturbed


@pytest.mark.parametrize("again", range(TIMES))
def test_sigterm(
    job: dict[str, Any],
    undisturbed: dict[str, bytes],
    root: ObjectPath,
    tmp_path: Path,
    again: int,
) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(yaml.safe_dump(config_for(job, root)))
    slow = environment(S2S_TEST_COST_MS="5")
    process = subprocess.Popen(
        [S2S_MAP, "run", config], env=slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_until((root / "blocks").is_dir, process)
    assert run_status(str(root)).state == "running"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 4, err.decode()
    status = run_status(str(root))
    assert status.state == "stopped"
    assert 0 < status.blocks_done < BLOCKS
    run(RunConfig(**config_for(job, root)))
    assert object_bytes(root) == undisturbed
