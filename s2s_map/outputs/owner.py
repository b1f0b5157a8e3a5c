"""Who holds an output: a process on a host, which differs from others of its number or name."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from s2s_map.errors import OutputError


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
