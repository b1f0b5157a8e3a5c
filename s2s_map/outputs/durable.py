"""Making files survive a loss of power."""

from __future__ import annotations

import os
from pathlib import Path


def make_durable(file: Path, root: Path) -> None:
    """Force a file and the folders that lead to it to the disk.

    Args:
        file: What was written; nothing is forced for it if it does not exist.
        root: The uppermost folder that is new or has a new entry.

    Raises:
        OSError: If the disk refuses.
    """
    if file.exists():
        _force(file)
    for folder in file.parents:
        if folder.exists():
            _force(folder)
        if folder == root:
            return


def _force(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
