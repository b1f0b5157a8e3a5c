"""The ledger of a store in a folder: a journal in one file.

A line is appended after the data it speaks of is durably written. A line that is torn by a crash
or lost with the machine's power is one block that is embedded again: so the journal is written line
by line, but forced to the disk only now and then.
"""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from s2s_map.errors import StoreError
from s2s_map.outputs.atomic import output_errors, replacing_file
from s2s_map.outputs.durable import make_durable
from s2s_map.outputs.ledger import (
    BlockFailure,
    BlockRecord,
    Ledger,
    LedgerState,
    RunStart,
    apply_line,
    encoded,
    event_line,
    now,
)
from s2s_map.outputs.ledger_lines import Blocks, bounded_lines, parsed, sound_line

_FORCE_EVERY_S = 1.0


class JournalLedger(Ledger):
    """A ledger in one file of a local folder, see the module and `Ledger`.

    Args:
        path: The file; made with the first line.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        guard: Callable[[], None] | None = None,
        store: str | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        super().__init__(guard, store, blocks)
        self.path = Path(path)
        self._file: io.FileIO | None = None
        self._forced = 0.0

    def state(self) -> LedgerState:
        """Return what it says, see `Ledger`."""
        state = LedgerState()
        for line in self._lines():
            apply_line(state, line)
        return state

    def start(self, run: RunStart) -> None:
        """Note that a run begins."""
        self._write(event_line("start", run), force=True)

    def record(self, record: BlockRecord) -> None:
        """Note a block whose data is durably written."""
        self._write(event_line("done", record))

    def amend(self, record: BlockRecord) -> None:
        """Note more of a block, see `Ledger`."""
        self.record(record)

    def fail(self, failure: BlockFailure) -> None:
        """Note a block that failed."""
        self._write(event_line("failed", failure))

    def end(self, how: str) -> None:
        """Note how the run ended, and make all lines durable."""
        self._write({"event": "end", "how": how, "at": now()}, force=True)

    def drop(self, blocks: Iterable[str]) -> None:
        """Forget finished blocks, durably."""
        self.close()
        self._guard()
        gone = set(blocks)
        kept = [line for line in self._lines() if line.get("block") not in gone]
        with replacing_file(self.path) as partial, partial.open("wb") as file:
            file.writelines(encoded(line) + b"\n" for line in kept)
            file.flush()
            os.fsync(file.fileno())
        with output_errors(self.path):
            make_durable(self.path, self.path.parent)

    def close(self) -> None:
        """Make all lines durable and close the file."""
        if self._file is not None:
            with output_errors(self.path), self._file:
                self._force()
            self._file = None

    def _write(self, line: Mapping[str, Any], *, force: bool = False) -> None:
        self._guard()
        with output_errors(self.path):
            if self._file is None:
                self._file = _opened(self.path)
            raw = encoded(self._stamped(line)) + b"\n"
            if self._file.write(raw) != len(raw):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if force or time.monotonic() - self._forced > _FORCE_EVERY_S:
                self._force()

    def _force(self) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._forced = time.monotonic()

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            with self.path.open("rb") as file:
                for raw in bounded_lines(file):
                    try:
                        line = sound_line(parsed(raw), self._blocks)
                    except ValueError:
                        continue
                    if line is not None and self._is_ours(line):
                        yield line
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(
                f"the ledger {self.path} cannot be read: {error.strerror}",
                remedy="check the output folder",
            ) from error


def _opened(path: Path) -> io.FileIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab", buffering=0)
    if file.tell():
        with path.open("rb") as before:
            before.seek(-1, os.SEEK_END)
            torn = before.read(1) != b"\n"
        if torn:  # By a crash or a full disk: what follows must not be joined to it.
            file.write(b"\n")
    return file
