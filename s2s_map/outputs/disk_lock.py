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
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Event, Thread

from filelock import FileLock, Timeout

from s2s_map.errors import OutputError
from s2s_map.outputs.atomic import output_errors

LOCK = ".lock"
OWNER = ".lock-owner"
BEAT_S = 5.0
"""How often the owner says that it lives, seconds."""
# How file systems say that they have none: Lustre without -o flock, NFS without its lock service.
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)
SILENT_BEATS = 4
"""So many beats without a sign of life mean that an owner on another host is gone."""


@dataclass(frozen=True)
class Owner:
    """Who holds a folder.

    Attributes:
        run: A random name.
        host: Name of its host.
        pid: Its process.
        process_start: ``MACHINE/PIDS/TICKS``: the machine since it was booted, the container in
            which the process has its number, and when it started in the machine's own count, which
            tells it from a later process with the same number.
        since: When it took the folder, by its clock, for people.
        beat: Goes up while it lives.
    """

    run: str
    host: str
    pid: int
    process_start: str
    since: str
    beat: int = 0

    @classmethod
    def myself(cls) -> Owner:
        """Return this process as an owner."""
        pid = os.getpid()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        start = process_start(pid) or f"{_machine()}//"
        return cls(uuid.uuid4().hex, socket.gethostname(), pid, start, now)

    @property
    def on_this_machine(self) -> bool:
        """Whether it shares the system that keeps the locks of files, be it in another container.

        A name of a host does not say so: machines made from one image share it.
        """
        machine = self.process_start.partition("/")[0]
        return machine != "" and machine == _machine()

    @property
    def is_among_these(self) -> bool:
        """Whether its process number means something here."""
        place, _, ticks = self.process_start.rpartition("/")
        return ticks != "" and self.on_this_machine and place == f"{_machine()}/{_pids()}"

    @property
    def lives(self) -> bool:
        """Whether its process is among those of this machine and container."""
        return process_start(self.pid) == self.process_start

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


class FolderLock:
    """Holds a folder for this process.

    Args:
        folder: An existing folder.
        note: Told what is worth a line.
        beat_s: How often to say that the holder lives, seconds.
    """

    def __init__(
        self, folder: Path, note: Callable[[str], None] | None = None, beat_s: float = BEAT_S
    ) -> None:
        self._folder, self._beat_s = folder, beat_s
        self._note = note or (lambda _: None)
        # Not filelock's own way without locks: the file it makes then would outlive a killed run.
        self._lock = FileLock(folder / LOCK, fallback_to_soft=False)
        self._owner = Owner.myself()
        self._over, self._lost = Event(), Event()
        self._thread: Thread | None = None

    def acquire(self) -> None:
        """Take the folder.

        Raises:
            OutputError: If another run holds it, or the folder cannot be written.
        """
        locked = True
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise held(self._folder, read_owner(self._folder)) from None
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
            locked = False
            self._note(
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
        self._thread = Thread(target=self._beat, name="output-lock", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give the folder back."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        owner = None if self._lost.is_set() else read_owner(self._folder)
        if owner is not None and owner.run == self._owner.run:
            with suppress(OSError):
                (self._folder / OWNER).unlink(missing_ok=True)
        self._lock.release()

    def check(self) -> None:
        """Check that the folder is still this process's.

        Raises:
            OutputError: If another host has taken it, as after this one was suspended for long; or
                if it was renamed or removed.
        """
        if self._lost.is_set():
            raise taken(self._folder)
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
        self._note(f"took {self._folder} over from {owner}, which is gone")

    def _silent(self, owner: Owner) -> bool:
        """Watch the owner file of another host, or boot; the beat stands still, or it does not."""
        until = time.monotonic() + SILENT_BEATS * self._beat_s
        self._note(f"waiting to see whether {owner} still holds {self._folder}")
        while time.monotonic() < until:
            time.sleep(min(1.0, self._beat_s / 2))
            now = read_owner(self._folder)
            if now is None:
                return True
            if (now.run, now.beat) != (owner.run, owner.beat):
                return False
        return True

    def _beat(self) -> None:
        while not self._over.wait(self._beat_s):
            found = read_owner(self._folder)
            if found is not None and found.run != self._owner.run:
                self._lost.set()
                return
            self._owner = replace(self._owner, beat=self._owner.beat + 1)
            # A full disk does not end the holding; others only see an older beat.
            with suppress(OSError):
                self._write()

    def _write(self) -> None:
        partial = self._folder / f"{OWNER}.{self._owner.run[:8]}"
        try:
            partial.write_text(json.dumps(asdict(self._owner)), encoding="utf-8")
            os.replace(partial, self._folder / OWNER)
        finally:
            partial.unlink(missing_ok=True)


def held(output: object, owner: Owner | None) -> OutputError:
    """Return the error that another run holds an output."""
    who = f" ({owner})" if owner else ""
    return OutputError(
        f"another run is writing to {output}{who}",
        remedy="wait for it to end, or name another output",
    )


def taken(output: object) -> OutputError:
    """Return the error that another run took an output from this one."""
    return OutputError(
        f"another run took {output} while this one gave no sign of life",
        remedy="let that one finish",
    )


def gone(output: object) -> OutputError:
    """Return the error that an output is no longer where it was."""
    return OutputError(
        f"{output} was renamed or removed while the run was writing to it",
        remedy="put it back and start the same command again",
    )


def read_owner(folder: Path) -> Owner | None:
    """Return who holds a folder, or held it when it died; None if nobody is known."""
    try:
        return Owner(**json.loads((folder / OWNER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def process_start(pid: int) -> str | None:
    """Return when a process started, see `Owner`; None if there is none, or no telling.

    It is counted from the start of the machine and named with it, so setting the clock changes
    nothing and a restart of the machine is not mistaken.
    """
    if "-" not in _machine():  # No name of this boot.
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The name of the program, in brackets, may hold anything.
    fields = stat.rpartition(")")[2].split()
    return f"{_machine()}/{_pids()}/{fields[19]}"


@cache
def _machine() -> str:
    """Return a name of this machine since it was booted; empty if there is none that is sure."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        # Not Linux: the address of the network card, unless it is made up, as for virtual machines.
        node = uuid.getnode()
        return "" if node >> 40 & 0b11 else f"{node:012x}"


@cache
def _pids() -> str:
    """Return the container in which process numbers mean what they mean here; empty for none."""
    try:
        return Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return ""
