"""Files of this machine that appear whole or not at all; outputs have `outputs.atomic`."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"
"""How folders end in which something is not finished."""


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary path on the same file system that becomes `path` when the block ends well.

    It has the suffix of `path`, which some writers choose their format by.

    Args:
        path: The file to make or replace; its folder is made if missing.

    Raises:
        OSError: If it cannot be written.
    """
    folder = make_beside(path)
    try:
        partial = folder / f"new{path.suffix}"
        yield partial
        os.replace(partial, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, at once or not at all; raises OSError if it cannot be written."""
    with written_beside(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Write a file of JSON, at once or not at all; raises OSError if it cannot be written."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def make_beside(target: Path) -> Path:
    """Make a temporary folder beside a path, for what is to take its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=PARTIAL, dir=target.parent))
