"""Local files on their way to or from an object store; local outputs need none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from s2s_map.outputs.path import ObjectPath, OutputPath, transfer


@contextmanager
def staged(out: OutputPath) -> Iterator[Path]:
    """Yield a local folder whose files lie in `out` when the block ends well.

    That is `out` itself if it is local. Else it is a temporary one, whose files are put at the
    end, all or, on an error, perhaps some: nobody may look for them before a later object says
    that they are there.
    """
    if isinstance(out, Path):
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="s2s-map-") as name:
        folder = Path(name)
        yield folder
        upload_folder(folder, out)


def upload_folder(folder: Path, out: ObjectPath, last: str = "") -> None:
    """Put all files of a local folder below an object path.

    Args:
        folder: The folder.
        out: Where they go.
        last: Name of a file directly in the folder that is put when all others are there.
    """
    files = [
        (out / file.relative_to(folder).as_posix(), file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]
    end = [pair for pair in files if pair[1] == folder / last]
    transfer([pair for pair in files if pair not in end], up=True)
    transfer(end, up=True)


@contextmanager
def local_copy(path: OutputPath) -> Iterator[Path]:
    """Yield a local file with the content of `path`: itself, or a temporary copy.

    Raises:
        FileNotFoundError: If there is no such object.
    """
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="s2s-map-") as name:
        copy = Path(name) / path.name
        path.download(copy)
        yield copy


def kept_copy(path: OutputPath, copy: Path) -> Path:
    """Return a local file with the content of `path`: itself, or `copy`, made if it is not there.

    Raises:
        FileNotFoundError: If there is no such object.
    """
    if isinstance(path, Path):
        return path
    if not copy.exists():
        partial = copy.with_suffix(".partial")
        path.download(partial)
        partial.replace(copy)
    return copy
