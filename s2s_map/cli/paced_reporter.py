"""What reporters that write lines have in common: they count, and write now and then."""

from __future__ import annotations

import time
from threading import Lock

from s2s_map.reporter import Reporter

_LOG_EVERY_S = 10.0


class PacedReporter(Reporter):
    """Counts a stage and tells of it now and then: the ground of what writes lines."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stage = self._unit = ""
        self._total = self._done = self._found = 0
        self._began = self._told = 0.0

    def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
        """Begin to count."""
        self._stage, self._unit, self._total = stage, unit, total
        self._done = self._found = done
        self._began = self._told = time.monotonic()

    def advance(self, count: int) -> None:
        """Tell if the last line is a while ago."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._told < _LOG_EVERY_S:
                return
            self._told = now
            rate = (self._done - self._found) / (now - self._began)
        self._progress(rate)

    def _progress(self, rate: float) -> None:
        """Tell how far the stage is, at so many units a second."""
        raise NotImplementedError
