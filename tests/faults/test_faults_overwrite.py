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
from s2s_map.pipeline.embed.block_task import STAGES
from s2s_map.pipeline.verbs.open_run import open_run
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify
from s2s_map.pipeline.verbs.verify import verify_results
from s2s_map.reporter import Reporter

pytestmark = pytest.mark.faults

DENSER = {"patches": {"stride_m": 40}}


def rng(*about: object) -> random.Random:
    # Not for secrets: where it strikes.
    seed = os.environ.get("S2S_MAP_FAULTS_SEED", os.getpid())
    return random.Random(f"{about} {seed}")  # noqa: S311


@pytest.mark.parametrize("again", range(TIMES))
def test_a_killed_overwrite(job: dict[str, Any], tmp_path: Path, again: int) -> None:
    chance = rng(again)
    out, config = tmp_path / "out", tmp_path / "job.yaml"
    before = result_bytes(run(RunConfig(**{**job, "output": str(out)})).folder)  # type: ignore[arg-type]
    config.write_text(yaml.safe_dump({**job, "output": str(out), **DENSER}))
    script = [sys.executable, str(TESTS / "faults" / "run_plain.py"), str(config)]
    stage, nth = chance.choice(STAGES), chance.randint(1, BLOCKS)
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


def test_a_switch_is_killed_before_its_changes(job: dict[str, Any], tmp_path: Path) -> None:
    # Of some hundred every tenth, each of them with S2S_MAP_FAULTS=10.
    step = max(1, 10 // TIMES)
    first = rng("switch").randint(2, step) if step > 1 else 1
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
        [*script, out, work, str(first), str(step)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    kills, olds = map(int, ended.stdout.split())
    assert kills > 40 // step
    assert olds < kills
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
