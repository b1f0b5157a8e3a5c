"""An output that is begun anew, cut short, and what says that it is finished."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fixtures_faults import CountBlocks, all_bytes
from fixtures_plain_model import write_plain_job

from s2s_map.config.run import RunConfig
from s2s_map.errors import OutputError
from s2s_map.pipeline.folder import clear_folder
from s2s_map.pipeline.run import run
from s2s_map.pipeline.status import run_status, verify

BLOCKS = 4


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    job: dict[str, Any] = write_plain_job(tmp_path / "job", blocks=2)
    monkeypatch.chdir(tmp_path / "job")
    return RunConfig(**{**job, "output": str(tmp_path / "out")})


def test_an_old_ledger_says_nothing_of_a_new_store(config: RunConfig, tmp_path: Path) -> None:
    done = run(config)
    assert isinstance(done.folder, Path)
    before = all_bytes(done.folder)
    lines = (done.folder / "ledger.jsonl").read_text().splitlines()
    name = done.embeddings.id
    assert {json.loads(line)["store"] for line in lines} == {name}
    # Killed when the store was removed and its ledger was not.
    for path in [*done.folder.glob("*.tif"), *done.folder.glob("*.qml")]:
        path.unlink()
    shutil.rmtree(done.folder / "embeddings.zarr")
    seen = CountBlocks("read", tmp_path / "seen")
    again = run(config, on_stage=seen)
    assert seen.count.stat().st_size == BLOCKS
    assert again.record.counts["blocks"] == BLOCKS
    assert verify(done.folder) == []
    assert all_bytes(done.folder) == before


def test_what_says_that_all_is_there_is_removed_first(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(config).folder
    assert isinstance(folder, Path)

    def killed(path: Path) -> None:
        raise OSError(5, f"killed at {path.name}")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(OutputError, match=r"killed at maps\.zarr"):
            clear_folder(folder)
    assert (folder / "embeddings.zarr").exists()
    assert not (folder / "ledger.jsonl").exists()
    assert not (folder / "run.json").exists()
    run(config, overwrite=True)
    assert run_status(folder).state == "complete"


def test_a_run_whose_item_is_not_written_is_not_finished(config: RunConfig) -> None:
    folder = run(config).folder
    assert isinstance(folder, Path)
    (folder / "run.json").unlink()
    (folder / "item.json").unlink()
    (folder / "item.json" / "in the way").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"item\.json"):
        run(config)
    assert not (folder / "run.json").exists()
    assert run_status(folder).maps is False
