"""Making files survive a loss of power."""

from __future__ import annotations

import os
from pathlib import Path

from s2s_map.outputs.owner import gone
from s2s_map.outputs.path import OutputPath


def make_durable(file: OutputPath, root: OutputPath) -> None:
    """Force a file and the folders that lead to it to the disk; objects are durable once put.

    Args:
        file: What was written; nothing is forced for it if it does not exist.
        root: The uppermost folder that is new or has a new entry.

    Raises:
        OSError: If the disk refuses.
    """
    if not isinstance(file, Path):
        return
    if file.exists():
        _force(file)
    for folder in file.parents:
        if folder.exists():
            _force(folder)
        if folder == root:
            return


def check_still_there(file: OutputPath, folder: OutputPath) -> None:
    """Check that a folder is where it was: what writes to it would make it again.

    Args:
        file: A file that is always in it.
        folder: The folder; prefixes of an object store cannot be renamed.

    Raises:
        OutputError: If it was renamed or removed.
    """
    if isinstance(file, Path) and not file.is_file():
        raise gone(folder)


def _force(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
