"""An output that is begun from scratch, cut short, and what says that it is finished."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fixtures_faults import CountBlocks, all_bytes, result_bytes, stop_after
from fixtures_plain_model import write_plain_job

from s2s_map.config.run import RunConfig
from s2s_map.errors import InterruptedRunError
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify

BLOCKS = 4


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    job: dict[str, Any] = write_plain_job(tmp_path / "job", blocks=2)
    monkeypatch.chdir(tmp_path / "job")
    return RunConfig(**{**job, "output": str(tmp_path / "out")})


def denser(config: RunConfig) -> RunConfig:
    """Return a config of other embeddings."""
    patches = config.patches.model_copy(update={"stride_m": 40})
    return config.model_copy(update={"patches": patches})


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


def test_old_results_stay_until_the_new_ones_are_written(config: RunConfig, tmp_path: Path) -> None:
    folder = run(config).folder
    assert isinstance(folder, Path)
    query(folder, "birds")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}
    other = denser(config)
    with pytest.raises(InterruptedRunError):
        run(other, overwrite=True, executor=stop_after("EmbedTask", 2))
    status = run_status(folder)
    assert (status.state, status.overwriting, status.maps) == ("stopped", True, True)
    assert before.items() <= {p: p.read_bytes() for p in before}.items()
    assert verify(folder) == []
    asked = query(folder, "rain")
    assert asked.concepts == ["waves", "birds", "rain"]
    # The same command goes on, though a query has been asked since.
    seen = CountBlocks("read", tmp_path / "seen")
    done = run(other, overwrite=True, on_stage=seen)
    assert seen.count.stat().st_size == BLOCKS - 2
    assert done.concepts == ["waves", "birds", "rain"]
    assert run_status(folder).overwriting is False
    assert not (folder / ".next").exists()
    fresh = run(other.model_copy(update={"output": str(tmp_path / "fresh")}))
    assert isinstance(fresh.folder, Path)
    wanted = {n: b for n, b in result_bytes(fresh.folder).items() if n.startswith("embeddings")}
    assert wanted.items() <= result_bytes(folder).items()


def test_the_config_of_before_is_not_disturbed_by_an_unfinished_overwrite(
    config: RunConfig,
) -> None:
    folder = run(config).folder
    assert isinstance(folder, Path)
    before = result_bytes(folder)
    other = denser(config)
    with pytest.raises(InterruptedRunError):
        run(other, overwrite=True, executor=stop_after("EmbedTask", 2))
    again = run(config)
    assert again.record.counts["patches_embedded_now"] == 0
    assert result_bytes(folder) == before
    # What was begun is still there for the command that began it.
    assert (folder / ".next" / "embeddings.zarr").exists()


def test_a_folder_in_place_of_a_file_is_set_aside(config: RunConfig) -> None:
    folder = run(config).folder
    assert isinstance(folder, Path)
    (folder / "run.json").unlink()
    (folder / "item.json").unlink()
    (folder / "item.json").mkdir()
    (folder / "item.json" / "notes.txt").write_text("mine")
    run(config)
    assert (folder / "item.changed-1.json" / "notes.txt").read_text() == "mine"
    assert run_status(folder).maps is True
