"""Killed at any point, an output holds the old results or the new; the same run goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures_faults import BLOCKS, TESTS, TIMES, CountBlocks, environment, result_bytes

from s2s_map.config.run import RunConfig
from s2s_map.errors import OutputError
from s2s_map.pipeline.asking import query
from s2s_map.pipeline.block_task import STAGES
from s2s_map.pipeline.opening import open_run
from s2s_map.pipeline.progress import Reporter
from s2s_map.pipeline.run import run
from s2s_map.pipeline.status import run_status, verify
from s2s_map.pipeline.verify_results import verify_results

pytestmark = pytest.mark.faults

DENSER = {"patches": {"stride_m": 40}}


@pytest.mark.parametrize("again", range(TIMES))
def test_a_killed_overwrite(job: dict[str, Any], tmp_path: Path, again: int) -> None:
    # Not for secrets: which block is struck, and where.
    rng = random.Random(f"{again} {os.environ.get('S2S_MAP_FAULTS_SEED', os.getpid())}")  # noqa: S311
    out, config = tmp_path / "out", tmp_path / "job.yaml"
    before = result_bytes(run(RunConfig(**{**job, "output": str(out)})).folder)  # type: ignore[arg-type]
    config.write_text(yaml.safe_dump({**job, "output": str(out), **DENSER}))
    script = [sys.executable, str(TESTS / "faults" / "run_plain.py"), str(config)]
    stage, nth = rng.choice(STAGES), rng.randint(1, BLOCKS)
    killed = subprocess.run(
        [*script, stage, str(nth), str(tmp_path / "count"), "overwrite"],
        env=environment(),
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    status = run_status(out)
    assert (status.state, status.overwriting, status.bad_files) == ("killed", True, {})
    assert result_bytes(out) == before
    assert (verify(out), verify_results(out)) == ([], [])
    assert query(out, "birds").concepts == ["waves", "birds"]
    seen = CountBlocks("read", tmp_path / "seen")
    done = run(config, overwrite=True, on_stage=seen)
    assert seen.count.stat().st_size == BLOCKS - status.blocks_done
    assert done.concepts == ["waves", "birds"]
    assert (verify(out), verify_results(out)) == ([], [])
    fresh = run(RunConfig(**{**job, "output": str(tmp_path / "fresh"), **DENSER}))
    query(fresh.folder, "birds")
    assert result_bytes(out) == result_bytes(fresh.folder)  # type: ignore[arg-type]


def test_a_switch_is_killed_before_every_change(job: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(RunConfig(**{**job, "output": str(out)}))
    (out / "elevation.tif").write_bytes(b"mine")
    (out / "waves.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><Metadata><MDI key='STATISTICS_MEAN'>1</MDI>"
        "</Metadata></PAMRasterBand></PAMDataset>"
    )
    other = {**job, "output": str(out), **DENSER, "queries": [{"name": "rain", "text": "rain"}]}
    # Somebody's file is in the way of work that is done, which then waits.
    with pytest.raises(OutputError, match=r"holds rain\.tif"):
        run(RunConfig(**other), overwrite=True, reporter=_InTheWay(out / "rain.tif"))
    (out / "rain.tif").unlink()
    script = [sys.executable, str(TESTS / "faults" / "kill_switch.py")]
    work = tmp_path / "work"
    work.mkdir()
    ended = subprocess.run(
        [*script, out, work],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    kills, olds = map(int, ended.stdout.split())
    assert kills > 20
    assert 0 < olds < kills
    assert (work / "out" / "elevation.tif").read_bytes() == b"mine"
    assert not list((work / "out").glob("waves*"))
    assert open_run(work / "out").concepts == ["rain"]
    assert (verify(work / "out"), verify_results(work / "out")) == ([], [])


class _InTheWay(Reporter):
    def __init__(self, path: Path) -> None:
        self._path = path

    def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
        if stage == "Writing":
            self._path.write_bytes(b"mine")
