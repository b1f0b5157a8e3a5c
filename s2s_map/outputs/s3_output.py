"""An output that is a prefix of an object store.

There are no renames: each run, and each query, writes a generation of its own below ``results/``,
and ``latest.json`` is switched to it last, see `s3_generations`.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from s2s_map.outputs import names
from s2s_map.outputs.checksums import FileEntry
from s2s_map.outputs.ledger_lines import Blocks
from s2s_map.outputs.manifest import recorded_files
from s2s_map.outputs.names import GENERATIONS
from s2s_map.outputs.path import ObjectPath, OutputPath, as_object
from s2s_map.outputs.s3_generations import (
    LATEST,
    STORES,
    WANTED,
    generation_number,
    put_latest,
    read_latest,
    remove_embeddings,
    tidy_objects,
)
from s2s_map.outputs.s3_ledger import BLOCKS, LEDGER_FOLDER, ObjectLedger
from s2s_map.outputs.s3_lock import LEASE_S, LOCK, ObjectLock, read_lease, store_weaknesses
from s2s_map.outputs.sidecars import check_ours
from s2s_map.outputs.zarr_files import embeddings_exist

# What a prefix may hold that runs write into.
_OURS = frozenset({LATEST, GENERATIONS, STORES, BLOCKS, LEDGER_FOLDER, LOCK})
_OURS |= {names.SEARCH, names.EXPLANATIONS, names.EMBEDDINGS}


@dataclass(frozen=True)
class S3Output:
    """A prefix of an object store that runs write to, see `Output`.

    Attributes:
        path: The prefix.
    """

    path: ObjectPath

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def local(self) -> None:
        return

    def check_place(self) -> None:
        """Do nothing: only the store knows, see `check_access`."""

    def check_access(self, *, write: bool = False) -> None:
        """Ask the store, see `Output`."""
        self.path.check()
        if write:
            store_weaknesses(self.path)

    def check_foreign(self) -> None:
        check_ours(self.path, _OURS.__contains__)

    def check_names(self, wanted: Sequence[str]) -> None:
        """Do nothing: every generation has a place of its own."""

    def left_alone(self) -> list[str]:
        """Return nothing: results lie apart from whatever else there is."""
        return []

    def free_bytes(self) -> None:
        """Return None: files are made on another disk and put."""
        return

    @contextmanager
    def locked(self, note: Callable[[str], None] | None = None) -> Iterator[ObjectLock]:
        """Hold the prefix, see `ObjectLock`."""
        lock = ObjectLock(self.path, note)
        lock.acquire()
        try:
            for weakness in store_weaknesses(self.path):
                lock.note(weakness)
            tidy_objects(self.path)
            yield lock
        finally:
            lock.release()

    def is_held(self) -> bool:
        lease = read_lease(self.path)
        if lease is None:
            return False
        if lease.owner.is_among_these:
            return lease.owner.lives
        # For the eye only: here, unlike for taking over, this machine's clock will do.
        return (datetime.now(UTC) - lease.info.modified).total_seconds() < LEASE_S

    def ledger(
        self,
        guard: Callable[[], None] | None = None,
        store: str | None = None,
        blocks: Blocks | None = None,
    ) -> ObjectLedger:
        return ObjectLedger(self.path, guard, store, blocks)

    def finished_results(self) -> ObjectPath:
        latest = read_latest(self.path)
        return self.path / GENERATIONS / latest.name if latest.number else self.path

    def finished_files(self) -> dict[str, FileEntry]:
        latest = read_latest(self.path)
        if latest.run is None:
            return {}
        return {
            **recorded_files(self.path / GENERATIONS / latest.name),
            names.RECORD: latest.run,
        }

    def finished_home(self) -> ObjectPath:
        home = read_latest(self.path).home
        return self.path / home if home else self.path

    def next_results(self) -> ObjectPath:
        return self._next(GENERATIONS)

    def next_home(self) -> ObjectPath:
        return self._next(STORES)

    def unfinished_homes(self) -> list[OutputPath]:
        finished = self.finished_home()
        found = [path for path in (self.path / STORES).iterdir() if path != finished]
        return [path for path in found if embeddings_exist(path / names.EMBEDDINGS)]

    def unfinished_results(self, results: OutputPath) -> list[ObjectPath]:
        number = generation_number(results.name)
        return [
            path
            for path in (self.path / GENERATIONS).iterdir()
            if path.name != results.name and generation_number(path.name) == number
        ]

    def remove_home(self, home: OutputPath) -> None:
        remove_embeddings(as_object(home))

    def begin_results(
        self, results: OutputPath, wanted: Collection[str], stays: OutputPath | None
    ) -> None:
        # Nothing is to be removed: a generation has a random name.
        (results / names.MARKERS / WANTED).write_bytes(json.dumps(sorted(wanted)).encode())

    def keep_files(self, before: OutputPath, after: OutputPath, wanted: Collection[str]) -> None:
        if before == after or not wanted:
            return
        there = {path.name for path in before.iterdir()}
        for name in wanted:
            if name in there:
                as_object(before / name).copy_to(as_object(after / name))

    def publish(
        self,
        results: OutputPath,
        home: OutputPath | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        put_latest(self.path, as_object(results), None if home is None else as_object(home))

    def embeddings_href(self, home: OutputPath | None = None) -> str:
        place = self.finished_home() if home is None else as_object(home)
        beside = f"{place.relative_to(self.path)}/" if place != self.path else ""
        return f"../../{beside}{names.EMBEDDINGS}"

    @contextmanager
    def work_folder(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="s2s-map-") as folder:
            yield Path(folder)

    def _next(self, kind: str) -> ObjectPath:
        number = read_latest(self.path).number + 1
        return self.path / kind / f"{number:04d}-{uuid.uuid4().hex[:8]}"
