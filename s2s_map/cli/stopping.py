"""What stopping means: to verbs that go on where they were stopped, and how long it may take."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType
from typing import NoReturn

from s2s_map.errors import InterruptedRunError
from s2s_map.redaction.streams import stderr_descriptor

STOP_S = 25.0
"""How long after Ctrl-C or SIGTERM the process ends at the latest, seconds; below the 30 s after
which schedulers kill."""
BATCH_STOP_S = 28.0
"""The same for a batch, which waits for its runs and writes its report."""

_GO_ON = "start the same command again to go on where it stopped"
_PRINTING_S = 2.0


@contextmanager
def resumable(what: str) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into exit code 4 and one line.

    Args:
        what: What was stopped.

    Raises:
        InterruptedRunError: Instead of KeyboardInterrupt.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"{what} was stopped", remedy="start the same command again to go on"
        ) from None


class Ending:
    """How this process ends when it is stopped: with one line and one exit code, whatever comes.

    The first Ctrl-C or SIGTERM interrupts what is at work, which then ends in order. A second
    Ctrl-C ends the process at once, and so does the deadline: what is at work may hang in a library
    that looks at no signal, such as on a server that does not answer. All that is written is whole
    at any time: blocks and files are replaced by a rename, and the lock of a process that is gone
    is taken over.

    Args:
        exit_code: Of a process that was stopped.
        log_json: Whether the last words are a line of JSON.
    """

    def __init__(self, exit_code: int, *, log_json: bool = False) -> None:
        self._exit_code, self._log_json = exit_code, log_json
        self._working = self._through = False
        self._word, self._said = threading.Lock(), threading.Event()
        self.asked = False
        """Whether the process was asked to end."""

    @contextmanager
    def guarding(self, *, to_the_end: bool) -> Iterator[None]:
        """Handle Ctrl-C and SIGTERM.

        Args:
            to_the_end: Of the process: a Ctrl-C that comes while the interpreter ends, which
                Python would answer with a traceback, changes nothing any more. Else the handlers
                that were there are put back.
        """
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._on_signal) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, signal.SIG_IGN if to_the_end else handler)

    @contextmanager
    def working(self, seconds: float) -> Iterator[None]:
        """Let the first signal interrupt what is done within, and watch what comes after.

        Python's signal handlers wait for the main thread, which may be the one that hangs; the
        wakeup file descriptor does not.

        Args:
            seconds: From the first signal to the end at the latest.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        watch = threading.Thread(
            target=self._watch, args=(reader, seconds), name="deadline", daemon=True
        )
        watch.start()
        self._working = True
        try:
            yield
        finally:
            self._through = True
            # A countdown that has begun goes on: Python's own end waits for threads, too.
            signal.set_wakeup_fd(before)
            os.close(writer)

    @contextmanager
    def last_line(self) -> Iterator[bool]:
        """Yield whether the line that says how the process ended may be printed: only once."""
        first = self._word.acquire(blocking=False)
        try:
            yield first
        finally:
            if first:
                self._said.set()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._through:
            return
        if not self._working:
            # Libraries that are being imported may make anything of an exception.
            self._end("stopped before it began")
        if not self.asked:
            self.asked = True
            raise KeyboardInterrupt

    def _watch(self, reader: int, seconds: float) -> None:
        interrupts, ends = 0, math.inf
        while (left := ends - time.monotonic()) > 0:
            wait_s = None if math.isinf(left) else left
            if not select.select([reader], [], [], wait_s)[0]:
                break
            number = os.read(reader, 1)
            if not number:  # The command is through.
                if math.isinf(ends):
                    os.close(reader)
                    return
                time.sleep(max(0.0, ends - time.monotonic()))
                break
            if number[0] == signal.SIGINT:
                interrupts += 1
                if interrupts > 1:
                    self._end(f"stopped at once; {_GO_ON}")
            if number[0] in (signal.SIGINT, signal.SIGTERM):
                ends = min(ends, time.monotonic() + seconds)
        self._end(
            f"stopped; what was at work did not end within {seconds:g} s and was left; {_GO_ON}"
        )

    def _end(self, reason: str) -> NoReturn:
        with self.last_line() as first:
            if first:
                line = f"error: {reason}"
                if self._log_json:
                    now = datetime.now(UTC).isoformat(timespec="milliseconds")
                    event = {"time": now, "level": "error", "event": "error"}
                    line = json.dumps({**event, "reason": reason, "exit_code": self._exit_code})
                # Not through sys.stderr, whose lock the thread that hangs may hold.
                with suppress(OSError):
                    os.write(stderr_descriptor(), f"{line}\n".encode())
        # Another thread may be about to print its own.
        self._said.wait(_PRINTING_S)
        os._exit(self._exit_code)
