"""What goes wrong in the fault tests, and how results are compared.

The watchers travel to worker processes, which find this module as they find the plain model.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from s2s_map.errors import ImageryError, ModelError
from s2s_map.pipeline.engine.executor import Outcome, Task, ThreadsExecutor
from s2s_map.tiling.blocks import Block

TIMES = int(os.environ.get("S2S_MAP_FAULTS", "1"))
BLOCKS = 16
S2S_MAP = Path(sys.executable).with_name("s2s-map")
TESTS = Path(__file__).parent


def environment(**more: str) -> dict[str, str]:
    """Return what a process needs that is to find these modules."""
    return {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", **more}


@dataclass(frozen=True)
class KillAt:
    """Kills the process it is called in, once: at the nth time that any block enters a stage.

    `count` is a file that all processes append to.
    """

    stage: str
    nth: int
    count: Path

    def __call__(self, stage: str, block: Block) -> None:
        if stage != self.stage:
            return
        handle = os.open(self.count, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, b".")
        # Where this write ended, whatever others have written since.
        size = os.lseek(handle, 0, os.SEEK_CUR)
        os.close(handle)
        if size == self.nth:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class CountBlocks:
    """Counts blocks that enter a stage, and changes nothing."""

    stage: str
    count: Path

    def __call__(self, stage: str, block: Block) -> None:
        if stage == self.stage:
            with self.count.open("ab") as file:
                file.write(b".")


@dataclass(frozen=True)
class FillAt:
    """Fills the disk when a block is about to be recorded: the ledger may grow no more.

    In this process only, whose limit of file sizes it sets.
    """

    nth: int
    count: Path
    ledger: Path

    def __call__(self, stage: str, block: Block) -> None:
        if stage != "record":
            return
        with self.count.open("ab") as file:
            file.write(b".")
            file.flush()
            size = os.fstat(file.fileno()).st_size
        if size == self.nth:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.ledger.stat().st_size + 50, hard))


@dataclass(frozen=True)
class FailAt:
    """Makes some blocks fail whenever they are read."""

    blocks: tuple[str, ...]

    def __call__(self, stage: str, block: Block) -> None:
        if stage == "read" and block.key in self.blocks:
            raise ImageryError(f"no imagery for {block.key}", remedy="look for it")


@dataclass(frozen=True)
class DieAt:
    """Kills the process whenever a block is encoded."""

    block: str

    def __call__(self, stage: str, block: Block) -> None:
        if stage == "encode" and block.key == self.block:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class NeedsModel:
    """A task of a cluster that fails where the environment says that there is no model."""

    def __call__(self, item: int, stop: Event) -> int:
        time.sleep(0.05)
        if os.environ.get("S2S_TEST_NO_MODEL"):
            raise ModelError("there is no model here")
        return 2 * item


class Watched(ThreadsExecutor):
    """Calls something after each task of some kind."""

    def __init__(self, task: str, after: Callable[[int], None]) -> None:
        super().__init__(in_flight=1)
        self._task, self._after = task, after

    def run(self, task: Task, items: Iterable[Any], stop: Event) -> Iterator[Outcome]:
        for done, outcome in enumerate(super().run(task, items, stop), start=1):
            yield outcome
            if type(task).__name__ == self._task:
                self._after(done)


def stop_after(task: str, count: int) -> Watched:
    """Stops a run, as Ctrl-C does, after so many tasks of a kind, such as "EmbedTask"."""

    def stop(done: int) -> None:
        if done == count:
            raise KeyboardInterrupt

    return Watched(task, stop)


HOW_IT_WENT = ("run.json", "ledger.jsonl", "embeddings.zarr/embedding/store_id")
"""Files that differ between two runs of a config: times, machine, and the name that ties the ledger
to the store."""


def all_bytes(out: Path) -> dict[str, bytes]:
    """Every byte of an output but of what says how it went, by file; what is hidden aside."""
    found = {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith((".lock", ".manifest"))
    }
    for name in HOW_IT_WENT:
        assert found.pop(name)
    assert {"item.json", "preview.png", "imagery.tif", "maps.zarr/zarr.json"} <= found.keys()
    return found


def size(path: Path) -> int:
    """Bytes of a file; none before it is there."""
    return path.stat().st_size if path.exists() else 0


def result_bytes(out: Path) -> dict[str, bytes]:
    """Every byte of the embeddings and of the maps' values, by file."""
    found = {}
    for part in ("embeddings.zarr/embedding/c", "maps.zarr/probability", "maps.zarr/similarity"):
        for path in sorted((out / part).rglob("*")):
            if path.is_file() and path.name not in ("zarr.json", ".zattrs"):
                found[str(path.relative_to(out))] = path.read_bytes()
    assert any(name.startswith("embeddings") for name in found)
    return found
