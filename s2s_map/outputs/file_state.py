"""Whether a file of an output is still the one that was seen."""

from __future__ import annotations

from pathlib import Path

from s2s_map.outputs.path import OutputPath


def file_state(path: OutputPath) -> str:
    """Return what changes when a file or object is replaced: size, time and inode, or the ETag.

    Raises:
        FileNotFoundError: If there is none.
    """
    if isinstance(path, Path):
        state = path.stat()
        return f"{state.st_mtime_ns} {state.st_size} {state.st_ino}"
    return str(path.info().e_tag)
