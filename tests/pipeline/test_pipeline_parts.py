"""Pure parts of the pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures_job import write_job

from s2s_map.config.run import load_run_config
from s2s_map.encoding.satellite import fill_invalid
from s2s_map.errors import ConfigError
from s2s_map.pipeline.folder import differences
from s2s_map.pipeline.job import resolve
from s2s_map.pipeline.plan import make_plan


def test_differences_name_nested_keys() -> None:
    old = {"grid": {"cell_m": 160, "crs": "a"}, "model": "x"}
    new = {"grid": {"cell_m": 320, "crs": "a"}, "model": "x", "extra": 1}
    assert differences(old, new) == ["grid.cell_m: 160 -> 320", "extra: none -> 1"]
    assert differences(old, old) == []


def test_invalid_pixels_take_the_mean_of_the_valid() -> None:
    pixels = np.zeros((2, 3, 2, 2), dtype=np.uint8)
    pixels[0, :, 0] = [[10, 20], [30, 40], [50, 60]]
    valid = np.array([[[True, True], [False, False]], [[False] * 2] * 2])
    filled = fill_invalid(pixels, valid)
    assert filled[0, :, 1, 0].tolist() == [15, 35, 55]
    assert filled[0, :, 0, 1].tolist() == [20, 40, 60]
    assert (filled[1] == 127).all()


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
