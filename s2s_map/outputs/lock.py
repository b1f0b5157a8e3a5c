"""What the two ways to hold an output share: the owner, its sign of life, and its end."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, replace
from threading import Event, Thread
from typing import Any

from s2s_map.outputs.owner import Owner, taken


class OutputLock(ABC):
    """Holds an output for this process, see `FolderLock` and `ObjectLock`.

    Args:
        place: The output.
        note: Called with what is worth a line.
        beat_s: How often to say that the holder lives, seconds.
    """

    def __init__(self, place: object, note: Callable[[str], None] | None, beat_s: float) -> None:
        self.note = note or (lambda _: None)
        self._place, self._beat_s = place, beat_s
        self._owner = Owner.myself()
        self._over, self._lost = Event(), Event()
        self._thread = Thread(target=self._beat, name="output-lock", daemon=True)

    def acquire(self) -> None:
        """Take the output.

        Raises:
            OutputError: If another run holds it, or it cannot be written.
        """
        self._take()
        self._thread.start()

    def release(self) -> None:
        """Give the output back."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._give_back()

    def check(self) -> None:
        """Check that the output is still this process's.

        Raises:
            OutputUnavailableError: If the lease on it could not be renewed in time.
            OutputError: If another run has taken it, as after this one was suspended for long; or
                if it was renamed or removed.
        """
        if self._lost.is_set():
            raise taken(self._place)
        self._check()

    @abstractmethod
    def _take(self) -> None: ...

    @abstractmethod
    def _give_back(self) -> None: ...

    @abstractmethod
    def _check(self) -> None: ...

    @abstractmethod
    def _renew(self, owner: Owner) -> bool:
        """Say that the holder lives, by the next beat; returns whether the output is still its."""

    def _content(self) -> bytes:
        return json.dumps(asdict(self._owner)).encode()

    def _beat(self) -> None:
        while not self._over.wait(self._beat_s):
            if not self._renew(replace(self._owner, beat=self._owner.beat + 1)):
                self._lost.set()
                return

    def _stays_silent(
        self, owner: Owner, seconds: float, sign: object, look: Callable[[], Any]
    ) -> bool:
        """Watch for some seconds that no sign of an owner's life follows its last one, `sign`.

        `look` returns the sign there is now, None if the owner has given the output back.
        """
        self.note(f"waiting to see whether {owner} still holds {self._place}")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(min(1.0, self._beat_s / 2))
            now = look()
            if now is None:
                return True
            if now != sign:
                return False
        return True
