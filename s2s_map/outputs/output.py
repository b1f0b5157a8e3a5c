"""An output: a folder, or a prefix of an object store.

New results are made where nobody looks, and published when they are whole. Embeddings, their
ledger and their search have one home: the output itself, or another place while they are to be
replaced by ``--overwrite``. How a kind of output keeps these promises is in `DiskOutput` and
`S3Output`; whoever writes to one or reads from it need not know which it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from s2s_map.outputs.checksums import FileEntry
from s2s_map.outputs.disk_output import DiskOutput
from s2s_map.outputs.ledger import Ledger
from s2s_map.outputs.ledger_lines import Blocks
from s2s_map.outputs.lock import OutputLock
from s2s_map.outputs.path import ObjectPath, OutputPath, output_path
from s2s_map.outputs.s3_output import S3Output


class Output(Protocol):
    """What runs write to and others read; it holds a path and pickles.

    Methods that write raise `OutputError` for a full disk, a server that refuses and the like;
    those that look for finished results raise `StoreError` for a damaged ``latest.json``.
    """

    @property
    def name(self) -> str:
        """What tells it from others: its absolute path or its URL."""

    @property
    def local(self) -> Path | None:
        """The folder, for tools that read files in place and for who asks no network."""

    def check_place(self) -> None:
        """Check, without a network, that it can be made or written to."""

    def check_access(self, *, write: bool = False) -> None:
        """Find out at once whether it can be read, or written, before anything of it is read.

        Results that a killed run was moving to their places are moved there now; raises
        `OutputUnavailableError` if a run is moving some at this moment.
        """

    def check_foreign(self) -> None:
        """Check that it holds nothing that no run, and neither GDAL nor QGIS, wrote."""

    def check_names(self, wanted: Sequence[str]) -> None:
        """Check that no file that no run wrote has one of these names of results."""

    def left_alone(self) -> list[str]:
        """Return what lies among the results of runs and that no run wrote."""

    def free_bytes(self) -> int | None:
        """Return what is free on its disk; None where results are made on another one and put."""

    def locked(
        self, note: Callable[[str], None] | None = None
    ) -> AbstractContextManager[OutputLock]:
        """Hold it for this process, made if missing; what a killed run has left is tidied up.

        What is worth a line, such as a file system without locks, is given to `note`. Raises
        `OutputError` if another run holds it.
        """

    def is_held(self) -> bool:
        """Return whether a run seems to be at work; for the eye only, nobody may rely on it."""

    def ledger(
        self,
        guard: Callable[[], None] | None = None,
        store: str | None = None,
        blocks: Blocks | None = None,
    ) -> Ledger:
        """Return the ledger of the embeddings that lie directly in it, see `Ledger`."""

    def finished_results(self) -> OutputPath:
        """Return where the finished results lie; the output itself while there are none."""

    def finished_files(self) -> dict[str, FileEntry]:
        """Return every file of the finished results by name; nothing for those of version 0.1.0."""

    def finished_home(self) -> OutputPath:
        """Return where the embeddings lie that the finished results are made from, or will be."""

    def next_results(self) -> OutputPath:
        """Return where the next results are written, in an object store another place each time."""

    def next_home(self) -> OutputPath:
        """Return a home for embeddings that are to replace the finished ones; nothing is there."""

    def unfinished_homes(self) -> list[OutputPath]:
        """Return the homes of embeddings that were to replace the finished ones and did not yet."""

    def unfinished_results(self, results: OutputPath) -> list[ObjectPath]:
        """Return where runs that ended before they published have left what can be gone on with."""

    def remove_home(self, home: OutputPath) -> None:
        """Remove embeddings that were never published, with their ledger and search."""

    def begin_results(
        self, results: OutputPath, wanted: Collection[str], stays: OutputPath | None
    ) -> None:
        """Note the names of what is about to be written, so that a killed run's are known.

        What such a run left there is removed, but for what `stays`; nothing is if that is None.
        """

    def keep_files(self, before: OutputPath, after: OutputPath, wanted: Collection[str]) -> None:
        """Take files over from finished results into the next, those that are there."""

    def publish(
        self,
        results: OutputPath,
        home: OutputPath | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Let readers see results whose every file is there.

        Args:
            results: The results.
            home: Where the embeddings are that they were made from; the finished ones if None.
            note: Called with what was set aside.

        Raises:
            OutputError: If another run has published meanwhile, the store refuses, or a file that
                no run wrote is in the way.
        """

    def embeddings_href(self, home: OutputPath | None = None) -> str:
        """Return where embeddings will lie, seen from published results."""

    def work_folder(self, name: str) -> AbstractContextManager[Path]:
        """Give a local folder for logs, of this name in the output if that is possible."""


def open_output(where: str | os.PathLike[str] | ObjectPath | Output) -> Output:
    """Return an output; nothing is read or made yet.

    Args:
        where: A folder, or ``s3://bucket/prefix``; or an output, which is returned as it is.

    Raises:
        OutputError: For another scheme, or no bucket or prefix.

    Examples:
        >>> open_output("s3://maps/kenya").name
        's3://maps/kenya'
    """
    if not isinstance(where, (str, os.PathLike, ObjectPath)):
        return where
    path = output_path(where)
    return S3Output(path) if isinstance(path, ObjectPath) else DiskOutput(path)
