"""Checksums of files and objects, as they lie."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from s2s_map.config import files
from s2s_map.outputs.path import ObjectPath, OutputPath

type Reading = Literal["all", "changed", "sizes"]

_AT_A_TIME = 16


@dataclass(frozen=True)
class FileEntry:
    """What is known of a file that was written.

    Attributes:
        size: Bytes.
        sha256: Hexadecimal.
        e_tag: What an object store calls its content; "" on a disk.
        mtime_ns: When it was changed last, by a disk's clock; 0 if not known. It only saves
            reading: a file with another one is read and compared.
    """

    size: int
    sha256: str
    e_tag: str = ""
    mtime_ns: int = 0

    def as_dict(self, *, times: bool = False) -> dict[str, Any]:
        """Return it as JSON.

        Args:
            times: With `mtime_ns`, which says something on one disk only.
        """
        known = {"size": self.size, "sha256": self.sha256}
        tag = {"e_tag": self.e_tag} if self.e_tag else {}
        return {**known, **tag, **({"mtime_ns": self.mtime_ns} if times else {})}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> FileEntry:
        """Return what `as_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: For something else.
        """
        return cls(
            int(content["size"]),
            str(content["sha256"]),
            str(content.get("e_tag", "")),
            int(content.get("mtime_ns", 0)),
        )


def file_sha256(path: OutputPath) -> str:
    """Return the SHA-256, in hexadecimal, of a file or object.

    Raises:
        FileNotFoundError: If there is none.
        OSError, OutputError: If it cannot be read.
    """
    if isinstance(path, ObjectPath):
        digest = hashlib.sha256()
        for part in path.stream():
            digest.update(part)
        return digest.hexdigest()
    return files.file_sha256(path)


def file_entries(
    folder: OutputPath, known: Mapping[str, FileEntry] | None = None
) -> dict[str, FileEntry]:
    """Return the entries of all files below a folder or prefix by their relative names, in order.

    What begins with a dot directly below is left out: it is not for readers.

    Args:
        folder: Where they lie.
        known: Entries that hold for files of these names and sizes: their checksums are believed.
    """
    before, there = known or {}, sizes_and_tags(folder)

    def entry(name: str) -> FileEntry:
        size, tag, mtime_ns = there[name]
        one = before.get(name)
        if one is not None and one.size == size:
            return FileEntry(size, one.sha256, tag, mtime_ns)
        return FileEntry(size, file_sha256(folder / name), tag, mtime_ns)

    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="checksums") as pool:
        return dict(zip(there, pool.map(entry, there), strict=True))


def sizes_and_tags(folder: OutputPath) -> dict[str, tuple[int, str, int]]:
    """Return size, e_tag and time of change of all files below a folder, by relative name."""
    found: dict[str, tuple[int, str, int]] = {}
    if isinstance(folder, ObjectPath):
        for path, info in folder.files().items():
            found[path.relative_to(folder).as_posix()] = (info.size, info.e_tag, 0)
    else:
        for name, file in _files(folder):
            stat = file.stat()
            found[name] = (stat.st_size, "", stat.st_mtime_ns)
    return {name: found[name] for name in sorted(found) if not name.startswith(".")}


def _difference(
    folder: OutputPath,
    name: str,
    entry: FileEntry,
    there: tuple[int, str, int] | None,
    read: Reading,
) -> str:
    if there is None:
        return "is missing"
    size, tag, _ = there
    if size != entry.size:
        return f"has {size:,} bytes, {entry.size:,} were written"
    if read == "sizes" or (read == "changed" and tag and tag == entry.e_tag):
        return ""
    try:
        found = file_sha256(folder / name)
    except FileNotFoundError:
        return "is missing"
    if found != entry.sha256:
        return f"has the checksum {found[:12]}, {entry.sha256[:12]} was written"
    return ""


def differing_files(
    folder: OutputPath, entries: Mapping[str, FileEntry], *, read: Reading = "changed"
) -> dict[str, str]:
    """Return the files that are not as they were written, each with how.

    Args:
        folder: Where they lie.
        entries: What was written, by relative name.
        read: Which are read: all; all but objects whose e_tag still stands; or none, and sizes
            are compared.
    """
    there = sizes_and_tags(folder)

    def one(name: str) -> str:
        return _difference(folder, name, entries[name], there.get(name), read)

    if read == "sizes":
        return {name: how for name in entries if (how := one(name))}
    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="checksums") as pool:
        return {name: how for name, how in zip(entries, pool.map(one, entries), strict=True) if how}


def _files(folder: str | Path, prefix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield relative name and entry of the files below a folder; what is hidden in it left out."""
    if not Path(folder).is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and not prefix:
                continue
            if entry.is_dir(follow_symlinks=not prefix):
                yield from _files(entry.path, f"{prefix}{entry.name}/")
            elif entry.is_file():
                yield f"{prefix}{entry.name}", entry
