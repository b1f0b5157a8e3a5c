"""What goes wrong in the fault tests, and how results are compared.

The watchers travel to worker processes, which find this module as they find the plain model.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from s2s_map.errors import ImageryError
from s2s_map.tiling.blocks import Block


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
        size = os.fstat(handle).st_size
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


def result_bytes(out: Path) -> dict[str, bytes]:
    """Every byte of the embeddings and of the maps' values, by file."""
    found = {}
    for part in ("embeddings.zarr/embedding/c", "maps.zarr/probability", "maps.zarr/similarity"):
        for path in sorted((out / part).rglob("*")):
            if path.is_file() and path.name not in ("zarr.json", ".zattrs"):
                found[str(path.relative_to(out))] = path.read_bytes()
    assert any(name.startswith("embeddings") for name in found)
    return found
