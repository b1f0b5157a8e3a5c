"""Whether an output folder's file system keeps the promises that a run builds on."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Mounted object stores: a rename is a copy and a removal, and there are no locks.
_OBJECT_STORES = ("s3fs", "goofys", "gcsfuse", "mountpoint-s3", "blobfuse", "rclone", "geesefs")
_SKEW_S = 5.0
_MOUNTS = Path("/proc/self/mounts")


@dataclass(frozen=True)
class FileSystem:
    """What a run builds on.

    Attributes:
        replace: Renames a file over another, at once.
        flock: Takes the lock of an open file; refuses at once if another holds it.
    """

    replace: Callable[[Path, Path], None] = os.replace
    flock: Callable[[int, int], None] = fcntl.flock


def weaknesses(
    folder: Path,
    clock: Callable[[], float] = time.time,
    mounts: Path = _MOUNTS,
    system: FileSystem | None = None,
) -> list[str]:
    """Try out a folder: each thing its file system lacks, as a line for people.

    Args:
        folder: An existing folder that may be written to.
        clock: Seconds since 1970 on this machine.
        mounts: The table of mounts (Linux).
        system: How files are renamed and locked; as this system does it if None.

    Raises:
        OSError: If nothing can be written at all.
    """
    found = []
    kind = mount_type(folder, mounts)
    if any(name in kind for name in _OBJECT_STORES):
        found.append(
            f"{folder} is an object store mounted with {kind}: renames are not atomic there and a "
            "crash may leave half a file; write to a disk, or to s3:// directly"
        )
    probe = folder / f".probe-{os.getpid()}"
    other = probe.with_suffix(".new")
    try:
        probe.write_text("old")
        skew = probe.stat().st_mtime - clock()
        if abs(skew) > _SKEW_S:
            found.append(
                f"the clock of {folder} is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}; "
                "no decision rests on it, but times of files will look odd"
            )
        other.write_text("new")
        if not _renames(other, probe, system or FileSystem()):
            found.append(f"{folder} cannot replace a file by renaming; a crash may lose files")
        if not _locks(probe, system or FileSystem()):
            found.append(f"{folder} has no locks that work; do not start two runs on it at once")
    finally:
        for path in (probe, other):
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return found


def mount_type(folder: Path, mounts: Path = _MOUNTS) -> str:
    """Return the type of the file system a folder is on, such as "ext4"; "" if not known."""
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    where, best, kind = folder.resolve(), -1, ""
    for line in lines:
        source, point, name = line.split(" ")[:3]
        root = Path(point.replace("\\040", " "))
        if where.is_relative_to(root) and len(point) > best:
            # FUSE says by its source who is behind it.
            best, kind = len(point), f"{name} {source}" if name.startswith("fuse") else name
    return kind


def _renames(new: Path, target: Path, system: FileSystem) -> bool:
    try:
        system.replace(new, target)
        return target.read_text() == "new" and not new.exists()
    except OSError:
        return False


def _locks(path: Path, system: FileSystem) -> bool:
    with path.open("rb") as one, path.open("rb") as two:
        try:
            system.flock(one.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            system.flock(two.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
