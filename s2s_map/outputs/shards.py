"""Files and objects that hold the blocks of a store, and how a change of one shows."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import google_crc32c

from s2s_map.outputs.atomic import output_errors
from s2s_map.outputs.path import OutputPath

_PIECE_BYTES = 1 << 20

type Version = tuple[int, int]
"""What changes when a file does; the same for all objects, which their e_tag tells apart."""


def e_tag(path: OutputPath) -> str:
    """Return what an object store calls the content of an object; "" on a disk, or without one.

    Raises:
        OutputError: If the store cannot be asked.
    """
    try:
        return "" if isinstance(path, Path) else path.info().e_tag
    except FileNotFoundError:
        return ""


def e_tags(folder: OutputPath) -> dict[str, str] | None:
    """Return the e_tags of all objects below by their URLs, from listings; None on a disk.

    Raises:
        OutputError: If the store cannot be listed.
    """
    if isinstance(folder, Path):
        return None
    return {str(path): info.e_tag for path, info in folder.files().items()}


def version(path: OutputPath, known: Version | None = None) -> tuple[str, Version]:
    """Return the e_tag of an object, and what changes when a file does.

    Args:
        path: The file or object.
        known: What was returned before, if an object need not be asked again: a request for each
            read would be dear.

    Raises:
        FileNotFoundError: If there is none.
    """
    if isinstance(path, Path):
        status = path.stat()
        return "", (status.st_mtime_ns, status.st_size)
    return ("", known) if known is not None else (path.info().e_tag, (0, 0))


def file_crc(path: OutputPath) -> str:
    """Return the CRC-32C of a file, hexadecimal; "" in an object store, or without a file.

    Raises:
        OutputError: If the file cannot be read.
    """
    return _file_sum(path, google_crc32c.extend)


def file_crc32(path: OutputPath) -> str:
    """Return the CRC-32 of a file, as `file_crc`.

    That of what ends in its own CRC-32C, as chunks and shards of zarr do, is the same whatever it
    holds: a shard of one chunk in the place of another of one chunk has the same `file_crc`.

    Raises:
        OutputError: If the file cannot be read.
    """
    return _file_sum(path, lambda crc, piece: zlib.crc32(piece, crc))


def _file_sum(path: OutputPath, extend: Callable[[int, bytes], int]) -> str:
    if not isinstance(path, Path):
        return ""
    crc = 0
    with output_errors(path):
        try:
            with path.open("rb", buffering=0) as file:
                while piece := file.read(_PIECE_BYTES):
                    crc = extend(crc, piece)
        except FileNotFoundError:
            return ""
    return f"{crc:08x}"


def remove_leftovers(path: OutputPath) -> None:
    """Remove what writers of a file that were killed have left beside it."""
    if isinstance(path, Path):
        # As zarr names them; others may be at work in the same folder.
        for leftover in path.parent.glob(f"{path.stem}.*.partial"):
            leftover.unlink(missing_ok=True)
