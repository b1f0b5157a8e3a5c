"""Outputs that appear whole or not at all: written beside their place, then moved into it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from s2s_map.atomic import PARTIAL, make_beside, written_beside
from s2s_map.errors import OutputError, OutputUnavailableError
from s2s_map.outputs.path import ObjectPath, OutputPath
from s2s_map.outputs.staging import upload_folder

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
# How a network file system, or a disk behind one, says that it is away.
_AWAY = (
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.ECONNRESET,
    errno.ECONNREFUSED,
    errno.ECONNABORTED,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EREMOTEIO,
)


@contextmanager
def replacing_file(path: str | os.PathLike[str] | ObjectPath) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends well.

    It lies in the same folder, or, if `path` is in an object store, in a temporary one.

    Args:
        path: The file or object to make or replace; its folder is made if missing.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    if isinstance(path, ObjectPath):
        with output_errors(path), tempfile.TemporaryDirectory(prefix="s2s-map-") as name:
            staged = Path(name) / f"new{path.suffix}"
            yield staged
            path.upload(staged)
        return
    target = Path(path)
    with output_errors(target), written_beside(target) as partial:
        yield partial


@contextmanager
def replacing_folder(path: str | os.PathLike[str] | ObjectPath, last: str = "") -> Iterator[Path]:
    """Yield a temporary path in the same folder that becomes the folder `path` at a good end.

    An existing folder is renamed aside first, since no portable call swaps two folders; for the
    instant between two renames the path does not exist. In an object store the files are put over
    those that are there.

    Args:
        path: The folder or prefix to make or replace.
        last: Name of a file directly in it which says that all others are there.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    if isinstance(path, ObjectPath):
        with output_errors(path), tempfile.TemporaryDirectory(prefix="s2s-map-") as name:
            made = Path(name) / path.name
            yield made
            upload_folder(made, path, last)
        return
    target = Path(path)
    with output_errors(target):
        folder = make_beside(target)
        try:
            partial = folder / "new"
            yield partial
            _swap(partial, target, folder / "old")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def put_files(folder: Path, out: OutputPath, last: str = "") -> None:
    """Copy all files of a local folder over those of an output, each whole or not at all.

    Args:
        folder: The folder.
        out: Where they go; what else is there stays.
        last: Name of a file directly in the folder that is written when all others are there.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    if isinstance(out, ObjectPath):
        upload_folder(folder, out, last)
        return
    files = [file for file in folder.rglob("*") if file.is_file()]
    for file in sorted(files, key=lambda file: file == folder / last):
        with replacing_file(out / file.relative_to(folder)) as partial:
            shutil.copyfile(file, partial)


def swap_folder(new: Path, target: Path) -> None:
    """Move a finished folder to its place, in the manner of `replacing_folder`.

    Args:
        new: The folder, on the same file system.
        target: Where it goes; a folder that is there is removed.
    """
    folder = make_beside(target)
    try:
        _swap(new, target, folder / "old")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _swap(new: Path, target: Path, old: Path) -> None:
    if target.exists():
        os.rename(target, old)
    try:
        os.rename(new, target)
    except OSError:
        if old.exists():
            os.rename(old, target)
        raise


def remove_partials(folder: str | os.PathLike[str]) -> int:
    """Remove what killed writers left in a folder; only for the process that owns the folder.

    A folder that was renamed aside, and whose successor did not come, is put back.

    Returns:
        How many leftovers were removed.
    """
    leftovers = [p for p in Path(folder).glob(f".*{PARTIAL}") if p.is_dir()]
    for leftover in leftovers:
        target = leftover.parent / leftover.name[1:].removesuffix(PARTIAL).rpartition(".")[0]
        if (leftover / "old").exists() and not target.exists():
            os.rename(leftover / "old", target)
        shutil.rmtree(leftover, ignore_errors=True)
    return len(leftovers)


def remove_partial_files(folder: OutputPath) -> None:
    """Remove what killed writers of files left in a folder and all below; only for its owner."""
    if isinstance(folder, Path):
        for leftover in list(folder.rglob(f".*{PARTIAL}")):
            shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def output_errors(path: OutputPath) -> Iterator[None]:
    """Turn the system's refusal to write into one line that says what to do.

    Raises:
        OutputUnavailableError: If the file system is away, as a server behind it may be.
        OutputError: For any other `OSError` within.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, (InterruptedError, BlockingIOError)):
            raise
        reason = error.strerror or str(error)
        kind = OutputUnavailableError if error.errno in _AWAY else OutputError
        raise kind(f"cannot write {path}: {reason}", remedy=_remedy(error)) from error


def _remedy(error: OSError) -> str:
    if error.errno in _FULL:
        return "free some space and start again; finished blocks are kept"
    if error.errno in _REFUSED:
        return "choose a folder that you may write to with output: or --output"
    if error.errno in _AWAY:
        return "check the disk or server, and start the same command again"
    return "check the output folder"
