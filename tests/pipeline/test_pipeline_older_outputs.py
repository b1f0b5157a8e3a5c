"""An output that version 0.1.0 wrote is opened, verified and asked by this one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from fixtures_job import write_job

from s2s_map.config.run import load_run_config
from s2s_map.errors import OutputMismatchError
from s2s_map.outputs.output import open_output
from s2s_map.pipeline.verbs.open_run import open_run
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify
from s2s_map.pipeline.verbs.verify import verify_results

KEPT = Path(__file__).parents[1] / "data" / "output-0.1.0" / "out"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same job, whose output is a copy of what version 0.1.0 made of it."""
    monkeypatch.chdir(tmp_path)
    config = write_job(tmp_path, queries=[{"name": "waves", "text": "waves on a shore"}])
    shutil.copytree(KEPT, tmp_path / "out")
    record = tmp_path / "out" / "run.json"
    record.write_text(record.read_text("utf-8").replace("/tmp/job-0.1.0", str(tmp_path)), "utf-8")  # noqa: S108
    return config


def test_it_is_opened_and_verified(config: Path) -> None:
    out = config.parent / "out"
    assert open_output(out).finished_files() == {}
    opened = open_run(out)
    assert opened.concepts == ["waves"]
    status = run_status(out)
    assert (status.state, status.blocks, status.blocks_done) == ("complete", 9, 9)
    assert status.maps_current
    assert status.bad_files == {}
    assert verify(out) == []
    assert verify_results(out) == []


def test_its_damage_is_found(config: Path) -> None:
    out = config.parent / "out"
    shard = out / "embeddings.zarr" / "embedding" / "c" / "0" / "0" / "1" / "0"
    shard.write_bytes(shard.read_bytes()[:-100])
    (out / "waves.qml").unlink()
    assert [bad.block for bad in verify(out)] == ["r000-c001"]
    assert [bad.file for bad in verify_results(out)] == ["waves.qml"]


def test_it_is_asked(config: Path) -> None:
    out = config.parent / "out"
    before = open_run(out).maps["probability"].sel(concept="waves").values
    asked = query(out, "traffic on a road", name="traffic")
    assert asked.concepts == ["waves", "traffic"]
    after = asked.maps["probability"]
    np.testing.assert_array_equal(after.sel(concept="waves").values, before)
    np.testing.assert_array_equal(np.isnan(after.sel(concept="traffic").values), np.isnan(before))
    assert np.isfinite(before).any()
    # It has a manifest now, as whatever this version writes.
    assert {"waves.tif", "traffic.tif", "run.json"} <= open_output(out).finished_files().keys()
    assert verify(out) == []


def test_it_is_not_gone_on_with(config: Path) -> None:
    # Its borders are not mirrored, see ADR 96: what is there stays.
    with pytest.raises(OutputMismatchError, match="embeddings of a different config"):
        run(load_run_config(config))
    assert verify(config.parent / "out") == []
