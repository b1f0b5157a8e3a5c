"""One run at a time writes to a folder, on this host and on others that see the folder.

Two things hold a folder. The system's lock on ``.lock`` ends with its process; but not every
network file system carries it to other hosts. So the holder also keeps ``.lock-owner``, which says
who it is and in which a number goes up every few seconds. Who finds the owner file of another host
watches that number by its own clock: no two clocks are compared. If it stands still, the owner is
gone. An owner on this machine, whatever its container or the host's name then, is known to be gone
as soon as its system's lock is free: nobody waits for it.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from s2s_map.outputs.atomic import output_errors
from s2s_map.outputs.lock import OutputLock
from s2s_map.outputs.owner import Owner, gone, held, taken

LOCK = ".lock"
OWNER = ".lock-owner"
BEAT_S = 5.0
"""How often the owner says that it lives, seconds."""
# How file systems say that they have none: Lustre without -o flock, NFS without its lock service.
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)
SILENT_BEATS = 4
"""So many beats without a sign of life mean that an owner on another host is gone."""


class FolderLock(OutputLock):
    """Holds a folder for this process.

    Args:
        folder: An existing folder.
        note: Called with what is worth a line.
        beat_s: How often to say that the holder lives, seconds.
    """

    def __init__(
        self, folder: Path, note: Callable[[str], None] | None = None, beat_s: float = BEAT_S
    ) -> None:
        super().__init__(folder, note, beat_s)
        self._folder = folder
        # Not filelock's own way without locks: the file it makes then would outlive a killed run.
        self._lock = FileLock(folder / LOCK, fallback_to_soft=False)

    def _take(self) -> None:
        locked = True
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise held(self._folder, read_owner(self._folder)) from None
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
            locked = False
            self.note(
                f"{self._folder} is on a file system without locks: runs that start within a few "
                "seconds of each other are not kept apart"
            )
        try:
            self._check_owner(locked)
            with output_errors(self._folder):
                self._write()
        except BaseException:
            self._lock.release()
            raise

    def _give_back(self) -> None:
        owner = None if self._lost.is_set() else read_owner(self._folder)
        if owner is not None and owner.run == self._owner.run:
            with suppress(OSError):
                (self._folder / OWNER).unlink(missing_ok=True)
        self._lock.release()

    def _check(self) -> None:
        owner = read_owner(self._folder)
        if owner is None and not (self._folder / LOCK).exists():
            raise gone(self._folder)
        if owner is not None and owner.run != self._owner.run:
            raise taken(self._folder)

    def _check_owner(self, locked: bool) -> None:
        owner = read_owner(self._folder)
        if owner is None:
            return
        if owner.is_among_these:
            if owner.lives and owner.pid != os.getpid():
                raise held(self._folder, owner)
            return
        if locked and owner.on_this_machine:
            return
        if not self._silent(owner):
            raise held(self._folder, owner)
        self.note(f"took {self._folder} over from {owner}, which is gone")

    def _silent(self, owner: Owner) -> bool:
        """Watch the owner file of another host, or boot; the beat stands still, or it does not."""

        def sign() -> tuple[str, int] | None:
            now = read_owner(self._folder)
            return None if now is None else (now.run, now.beat)

        seconds = SILENT_BEATS * self._beat_s
        return self._stays_silent(owner, seconds, (owner.run, owner.beat), sign)

    def _renew(self, owner: Owner) -> bool:
        found = read_owner(self._folder)
        if found is not None and found.run != self._owner.run:
            return False
        self._owner = owner
        # A full disk does not end the holding; others only see an older beat.
        with suppress(OSError):
            self._write()
        return True

    def _write(self) -> None:
        partial = self._folder / f"{OWNER}.{self._owner.run[:8]}"
        try:
            partial.write_bytes(self._content())
            os.replace(partial, self._folder / OWNER)
        finally:
            partial.unlink(missing_ok=True)


def read_owner(folder: Path) -> Owner | None:
    """Return who holds a folder, or held it when it died; None if nobody is known."""
    try:
        return Owner(**json.loads((folder / OWNER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
