"""One run at a time writes to a prefix of an object store: a lease, taken by a conditional put.

``lock.json`` says who holds the prefix. It is put only if there is none (``If-None-Match: *``), and
put again every few seconds only over its holder's own (``If-Match``), with a number that goes up. A
lease that was not renewed for its length may be taken over, by a put over exactly the one that was
seen, so of two who try one gets it. Its age is the difference of two times of the server's clock;
a run that cannot wait for that measures by its own clock. No two machines' clocks are compared.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from s2s_map.errors import OutputError, OutputUnavailableError
from s2s_map.outputs.lock import OutputLock
from s2s_map.outputs.owner import Owner, held
from s2s_map.outputs.path import ObjectInfo, ObjectPath

LOCK = "lock.json"
BEAT_S, LEASE_S = 10.0, 150.0
"""How often the holder renews, and for how long a renewal holds, seconds.

Longer than a put may take with all its tries, see `object_client`.
"""

_PROBE = ".probe"
_SKEW_S = 5.0


@dataclass(frozen=True)
class Lease:
    """A lock object as it was read.

    Attributes:
        owner: Who holds the prefix.
        info: What the store says of the object.
    """

    owner: Owner
    info: ObjectInfo


class ObjectLock(OutputLock):
    """Holds a prefix for this process.

    Args:
        folder: The prefix.
        note: Called with what is worth a line.
        beat_s: How often to renew, seconds.
        lease_s: How long a renewal holds, seconds.
    """

    def __init__(
        self,
        folder: ObjectPath,
        note: Callable[[str], None] | None = None,
        beat_s: float = BEAT_S,
        lease_s: float = LEASE_S,
    ) -> None:
        super().__init__(folder, note, beat_s)
        self._folder, self._path = folder, folder / LOCK
        self._lease_s, self._renewed = lease_s, 0.0

    def _take(self) -> None:
        self._renewed = time.monotonic()
        try:
            self._path.write_bytes(self._content(), create=True)
        except FileExistsError:
            self._take_over()

    def _give_back(self) -> None:
        with suppress(OutputError, FileExistsError, FileNotFoundError):
            found = read_lease(self._folder)
            if found is not None and found.owner.run == self._owner.run:
                # No store removes on a condition. Renewed on one, it is nobody else's meanwhile.
                self._path.write_bytes(self._content(), over=found.info.e_tag)
                self._path.unlink(missing_ok=True)

    def _check(self) -> None:
        if time.monotonic() - self._renewed > self._lease_s:
            raise OutputUnavailableError(
                f"the lease on {self._folder} could not be renewed for {self._lease_s:g} s",
                remedy="check the network and start the same run again",
            )

    def _take_over(self) -> None:
        found = read_lease(self._folder)
        if found is not None and found.owner.run == self._owner.run:
            return  # A put that was tried again after its answer got lost.
        if found is not None and not self._gone(found):
            raise held(self._folder, found.owner)
        try:
            self._renewed = time.monotonic()
            if found is None:  # Given back meanwhile.
                self._path.write_bytes(self._content(), create=True)
            else:
                self._path.write_bytes(self._content(), over=found.info.e_tag)
        except (FileExistsError, FileNotFoundError):
            now = read_lease(self._folder)
            raise held(self._folder, None if now is None else now.owner) from None
        if found is not None:
            self.note(f"took {self._folder} over from {found.owner}, which is gone")

    def _gone(self, found: Lease) -> bool:
        owner = found.owner
        if owner.is_among_these and owner.pid != os.getpid():
            return not owner.lives
        left = self._lease_s - self._age(found)
        if left <= 0:
            return True

        def sign() -> str | None:
            now = read_lease(self._folder)
            return None if now is None else now.info.e_tag

        return self._stays_silent(owner, left, found.info.e_tag, sign)

    def _age(self, found: Lease) -> float:
        """Return for how long a lease was not renewed, by the server's clock, seconds."""
        probe = self._folder / f"{_PROBE}-{self._owner.run}"
        try:
            probe.touch()
            return (probe.info().modified - found.info.modified).total_seconds()
        finally:
            probe.unlink(missing_ok=True)

    def _renew(self, owner: Owner) -> bool:
        began = time.monotonic()
        # If it was changed in between, the next beat reads by whom. A store that is away may come
        # back; `check` counts the time.
        with suppress(FileExistsError, FileNotFoundError, OutputError):
            # Read first, for servers that overlook the condition of a put.
            found = read_lease(self._folder)
            if found is None or found.owner.run != self._owner.run:
                return False
            self._owner = owner
            self._path.write_bytes(self._content(), over=found.info.e_tag)
            self._renewed = began
        return True


def read_lease(folder: ObjectPath) -> Lease | None:
    """Return who holds a prefix, or held it when it died; None if nobody is known."""
    try:
        content, info = (folder / LOCK).read_tagged()
        return Lease(Owner(**json.loads(content)), info)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def store_weaknesses(folder: ObjectPath) -> list[str]:
    """Try out a prefix: each thing its server lacks, as a line for people.

    Raises:
        OutputError: If nothing can be written or removed there.
    """
    found = []
    probe = folder / f"{_PROBE}-{os.urandom(8).hex()}"
    try:
        tag = probe.write_bytes(b"0", create=True)
        skew = (probe.info().modified - datetime.now(UTC)).total_seconds()
        if abs(skew) > _SKEW_S:
            found.append(
                f"the clock of {folder} is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}; "
                "no decision rests on it, but times of objects will look odd"
            )
        if not (_refused(probe, create=True) and _refused(probe, over=f"{tag[:-2]}-")):
            found.append(
                f"{folder} is on a server that does not heed conditions of a put; do not start two "
                "runs on it at once"
            )
    finally:
        probe.unlink(missing_ok=True)
    return found


def _refused(probe: ObjectPath, *, create: bool = False, over: str = "") -> bool:
    try:
        probe.write_bytes(b"1", create=create, over=over)
    except FileExistsError:
        return True
    return False
