"""Opening what a user names: files alone, no pipe or device that never ends or never answers."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

LONGEST_NAME = 255
"""Bytes of UTF-8 that file systems take for the name of a file or folder."""

LONGEST_PATH = 4000
"""Bytes of UTF-8 of a whole path, what is written below it included."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


@contextmanager
def open_regular(path: str | os.PathLike[str], *, pipes: bool = False) -> Iterator[FileIO]:
    """Open a file for reading, unbuffered, and nothing that is not one.

    Without waiting: opening a pipe that nobody writes to would never return.

    Args:
        path: The file.
        pipes: Take the shell's own pipes too, ``/dev/stdin`` and ``<(...)``.

    Raises:
        OSError: For what is not there, may not be read or is not a file; its text says which.
    """
    shells = pipes and Path(path).is_relative_to("/dev")
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if shells else os.O_NONBLOCK))
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    kind = stat.S_IFMT(os.fstat(handle).st_mode)
    if kind != stat.S_IFREG and not (shells and kind == stat.S_IFIFO):
        os.close(handle)
        what = _KINDS.get(kind, "something else")
        raise OSError(errno.EINVAL, f"it is {what}, not a file", str(path))
    with open(handle, "rb", buffering=0) as stream:  # noqa: PTH123
        yield stream


def read_bounded(path: str | os.PathLike[str], most: int, *, pipes: bool = False) -> bytes:
    """Return what a file holds.

    Args:
        path: The file.
        most: Bytes it may have.
        pipes: As of `open_regular`.

    Raises:
        OSError: As `open_regular`, and for a larger file.
    """
    found = bytearray()
    with open_regular(path, pipes=pipes) as stream:
        while len(found) <= most and (piece := stream.read(min(1 << 20, most + 1 - len(found)))):
            found += piece
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most // 10**6} MB", str(path))
    return bytes(found)


def is_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is there; no for whatever no file can be called."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether a folder is there; no for whatever no folder can be called."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError, RuntimeError):
        return False


def usable_path(text: str) -> str:
    """Return a path or address, after checking that it is no longer than one can be.

    Raises:
        ValueError: For a name in it, or a whole, that no file system takes.
    """
    whole = len(text.encode(errors="replace"))
    if whole > LONGEST_PATH:
        raise ValueError(f"has {whole:,} bytes; at most {LONGEST_PATH:,} are taken")
    # Servers have bounds of their own.
    names = [] if "://" in text else text.split("/")
    longest = max((len(name.encode(errors="replace")) for name in names), default=0)
    if longest > LONGEST_NAME:
        raise ValueError(f"has a name of {longest:,} bytes; a file system takes {LONGEST_NAME}")
    return text


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        OSError: For what is not there, may not be read or is no file.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
