"""An output that is renamed or removed while a run writes to it: one line, and nothing left."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fixtures_faults import CountBlocks, result_bytes
from fixtures_plain_model import write_plain_job

from s2s_map.config.run import RunConfig
from s2s_map.errors import OutputError
from s2s_map.outputs.disk_lock import FolderLock
from s2s_map.pipeline.engine.executor import ThreadsExecutor
from s2s_map.pipeline.verbs.run import run
from s2s_map.reporter import Reporter
from s2s_map.tiling.blocks import Block

BLOCKS = 16


class At:
    """Does something, once, as the nth block enters a stage."""

    def __init__(self, what: Callable[[], None], nth: int, stage: str) -> None:
        self.what, self.nth, self.stage = what, nth, stage

    def __call__(self, stage: str, block: Block) -> None:
        if stage == self.stage:
            self.nth -= 1
            if self.nth == 0:
                self.what()


class AtStage(Reporter):
    """Does something as a stage of the whole run begins."""

    def __init__(self, what: Callable[[], None], stage: str) -> None:
        self.what, self.stage = what, stage

    def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
        if stage == self.stage:
            self.what()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    job: dict[str, Any] = write_plain_job(tmp_path, 4)
    monkeypatch.chdir(tmp_path)
    return RunConfig(**{**job, "output": "out"})


def renamed() -> None:
    Path("out").rename("moved")


def removed() -> None:
    # As `rm -r`, again where the run puts a file into a folder that is being emptied.
    while Path("out").exists():
        with suppress(OSError):
            shutil.rmtree("out")


@pytest.mark.parametrize("what", [renamed, removed], ids=lambda what: what.__name__)
@pytest.mark.parametrize(
    ("nth", "stage"), [(1, "read"), (9, "write"), (16, "record"), (1, "Scoring"), (1, "Writing")]
)
def test_one_line_and_nothing_at_the_old_place(
    what: Callable[[], None], nth: int, stage: str, config: RunConfig, tmp_path: Path
) -> None:
    reporter, on_stage = (
        (AtStage(what, stage), None) if stage[0].isupper() else (None, At(what, nth, stage))
    )
    with pytest.raises(OutputError, match=r"was renamed or removed while|cannot write") as caught:
        # One block at a time: another that has asked before the folder goes may still write.
        run(config, on_stage=on_stage, reporter=reporter, executor=ThreadsExecutor(1))
    assert caught.value.exit_code == 2
    assert not Path("out").exists()
    seen = CountBlocks("read", tmp_path / "seen")
    seen.count.touch()
    if what is renamed:
        Path("moved").rename("out")
    run(config, on_stage=seen)
    if what is renamed and stage == "Scoring":
        assert seen.count.stat().st_size == 0
    assert seen.count.stat().st_size <= BLOCKS
    run(config.model_copy(update={"output": "fresh"}))
    assert result_bytes(Path("out")) == result_bytes(Path("fresh"))


def test_who_lost_a_folder_leaves_its_next_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    one = FolderLock(folder)
    one.acquire()
    one.check()
    folder.rename(tmp_path / "moved")
    with pytest.raises(OutputError, match="was renamed or removed"):
        one.check()
    folder.mkdir()
    other = FolderLock(folder)
    other.acquire()
    with pytest.raises(OutputError, match="another run took"):
        one.check()
    one.release()
    other.check()
    assert (folder / ".lock-owner").exists()
    other.release()
