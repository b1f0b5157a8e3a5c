"""Pure parts of the pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures_job import write_job

from s2s_map.config.run import load_run_config
from s2s_map.errors import ConfigError
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.job.output_folder import differences
from s2s_map.pipeline.verbs.plan import make_plan


def test_differences_name_nested_keys() -> None:
    old = {"grid": {"cell_m": 160, "crs": "a"}, "model": "x"}
    new = {"grid": {"cell_m": 320, "crs": "a"}, "model": "x", "extra": 1}
    assert differences(old, new) == ["grid.cell_m: 160 -> 320", "extra: none -> 1"]
    assert differences(old, old) == []


def test_plan_counts_what_a_run_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_job(tmp_path)
    monkeypatch.chdir(tmp_path)
    plan = make_plan(resolve(load_run_config(config)))
    assert plan.blocks == 9
    assert plan.shape == (38, 38)
    assert plan.read_bytes > 200 * 200 * 3
    assert plan.patches > 300
    assert plan.seconds > 0


def test_level_patch_wants_cells_of_one_stride(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_job(tmp_path, patches={"stride_m": 320, "level": "patch"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"set grid\.cell_m to 320"):
        resolve(load_run_config(config))
