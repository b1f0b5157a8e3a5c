"""An output that is a folder.

New results are made in ``.next`` and then moved to their places, see `disk_switch`.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from s2s_map.config.files import LONGEST_NAME
from s2s_map.errors import OutputError, OutputUnavailableError
from s2s_map.outputs import names
from s2s_map.outputs.atomic import output_errors, remove_partials
from s2s_map.outputs.checksums import FileEntry
from s2s_map.outputs.disk_checks import weaknesses
from s2s_map.outputs.disk_ledger import JournalLedger
from s2s_map.outputs.disk_lock import BEAT_S, OWNER, SILENT_BEATS, FolderLock, read_owner
from s2s_map.outputs.disk_switch import check_names, settle, switch
from s2s_map.outputs.ledger_lines import Blocks
from s2s_map.outputs.manifest import Manifest
from s2s_map.outputs.path import ObjectPath, OutputPath, as_local
from s2s_map.outputs.sidecars import check_ours, others_files

_REMEDY = "choose a folder that you may write to with output: or --output"


@dataclass(frozen=True)
class DiskOutput:
    """A folder that runs write to, see `Output`.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.resolve())

    @property
    def local(self) -> Path:
        return self.path

    def check_place(self) -> None:
        folder = self.path
        try:
            if os.path.lexists(folder) and not folder.is_dir():
                what = "a file" if folder.is_file() else "not a folder"
                raise OutputError(
                    f"{folder} is {what}", expected="a folder", remedy="name another one"
                )
            longest = max(len(os.fsencode(part)) for part in folder.absolute().parts)
            there = _existing(folder)
            usable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot use {folder}: {error}", remedy=_REMEDY) from None
        if longest > LONGEST_NAME:
            raise OutputError(f"a name in {folder} has {longest} bytes", expected=f"{LONGEST_NAME}")
        if not usable:
            what = "may not be written to" if there.is_dir() else "is not a folder"
            raise OutputError(f"cannot make {folder}: {there} {what}", remedy=_REMEDY)

    def check_access(self, *, write: bool = False) -> None:
        """End what a killed run has begun to publish, see `Output`."""
        if not (self.path / names.SWITCH).exists():
            return
        try:
            with self.locked():
                pass
        except OutputError as error:
            raise OutputUnavailableError(
                f"{self.path} is being switched to new results: {error.found}",
                remedy="try again in a moment, as somebody who may write there",
            ) from error

    def check_foreign(self) -> None:
        if self.path.exists() and not (self.path / names.EMBEDDINGS).exists():
            check_ours(self.path, Manifest(self.path).knows)

    def check_names(self, wanted: Sequence[str]) -> None:
        check_names(self.path, wanted)

    def left_alone(self) -> list[str]:
        return others_files(self.path, Manifest(self.path).knows)

    def free_bytes(self) -> int:
        return shutil.disk_usage(_existing(self.path)).free

    @contextmanager
    def locked(self, note: Callable[[str], None] | None = None) -> Iterator[FolderLock]:
        """Hold the folder, see `FolderLock`."""
        folder = self.path
        with output_errors(folder):
            if folder.exists() and not folder.is_dir():
                raise OutputError(
                    f"{folder} is a file", expected="a folder", remedy="name another one"
                )
            folder.mkdir(parents=True, exist_ok=True)
            lock = FolderLock(folder, note)
            lock.acquire()
        try:
            with output_errors(folder):
                for weakness in weaknesses(folder):
                    lock.note(weakness)
            remove_partials(folder)
            settle(folder)
            yield lock
        finally:
            lock.release()

    def is_held(self) -> bool:
        owner = read_owner(self.path)
        if owner is None:
            return False
        if owner.is_among_these:
            return owner.lives
        if owner.host != socket.gethostname():
            # Its process cannot be looked up: its owner file stands until it ends or is missed.
            return True
        # This machine before it was started again, or another of its name.
        with suppress(OSError):
            return time.time() - (self.path / OWNER).stat().st_mtime < SILENT_BEATS * BEAT_S
        return False

    def ledger(
        self,
        guard: Callable[[], None] | None = None,
        store: str | None = None,
        blocks: Blocks | None = None,
    ) -> JournalLedger:
        return JournalLedger(self.path / names.LEDGER, guard, store, blocks)

    def finished_results(self) -> Path:
        return self.path

    def finished_files(self) -> dict[str, FileEntry]:
        return Manifest(self.path).files

    def finished_home(self) -> Path:
        return self.path

    def next_results(self) -> Path:
        return self.next_home() / names.GENERATIONS

    def next_home(self) -> Path:
        return self.path / names.NEXT

    def unfinished_homes(self) -> list[OutputPath]:
        return [self.next_home()] if (self.next_home() / names.EMBEDDINGS).exists() else []

    def unfinished_results(self, results: OutputPath) -> list[ObjectPath]:
        """Return nothing: what a run has left lies where the next one goes on."""
        return []

    def remove_home(self, home: OutputPath) -> None:
        folder = as_local(home)
        if folder.name == names.NEXT:
            # First what says that blocks are finished.
            (folder / names.LEDGER).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)

    def begin_results(
        self, results: OutputPath, wanted: Collection[str], stays: OutputPath | None
    ) -> None:
        for path in () if stays is None else as_local(results).iterdir():
            if path != stays:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def keep_files(self, before: OutputPath, after: OutputPath, wanted: Collection[str]) -> None:
        for name in wanted:
            source, target = as_local(before) / name, as_local(after) / name
            if source.exists() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(source, target)
                except OSError:
                    # A file system without hard links.
                    shutil.copy2(source, target)

    def publish(
        self,
        results: OutputPath,
        home: OutputPath | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        new = None if home is None or home == self.path else as_local(home)
        switch(self.path, as_local(results), new, note)

    def embeddings_href(self, home: OutputPath | None = None) -> str:
        return f"./{names.EMBEDDINGS}"

    @contextmanager
    def work_folder(self, name: str) -> Iterator[Path]:
        folder = self.path / name
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        yield folder


def _existing(folder: Path) -> Path:
    return next(part for part in (folder, *folder.absolute().parents) if part.exists())
