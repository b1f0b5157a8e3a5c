"""What stopping means: to verbs that go on where they were stopped, and how long it may take."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from s2s_map.errors import InterruptedRunError
from s2s_map.redaction.streams import stderr_descriptor

STOP_S = 25.0
"""How long after Ctrl-C or SIGTERM the process ends at the latest, seconds; below the 30 s after
which schedulers kill."""
BATCH_STOP_S = 28.0
"""The same for a batch, which waits for its runs and writes its report."""


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


@contextmanager
def hard_deadline(seconds: float, exit_code: int, *, log_json: bool = False) -> Iterator[None]:
    """End the process for good some time after Ctrl-C or SIGTERM, if it has not ended by itself.

    What is at work may hang in a library that looks at no signal, such as on a server that does
    not answer. All that is written is whole at any time: blocks and files are replaced by a
    rename, and the lock of a process that is gone is taken over.

    Python's signal handlers wait for the main thread, which may be the one that hangs; the wakeup
    file descriptor does not.

    Args:
        seconds: From the signal to the end.
        exit_code: Of the process then.
        log_json: Whether the last words are a line of JSON.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watch = threading.Thread(
        target=_watch, args=(reader, seconds, exit_code, log_json), name="deadline", daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        # A countdown that has begun goes on: Python's own end waits for threads, too.
        signal.set_wakeup_fd(before)
        os.close(writer)


def _watch(reader: int, seconds: float, exit_code: int, log_json: bool) -> None:
    while number := os.read(reader, 1):
        if number[0] in (signal.SIGINT, signal.SIGTERM):
            break
    os.close(reader)
    if not number:
        return
    time.sleep(seconds)
    reason = (
        f"stopped; what was at work did not end within {seconds:g} s and was left; "
        "start the same command again to go on where it stopped"
    )
    line = f"error: {reason}"
    if log_json:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {"time": now, "level": "error", "event": "error"}
        line = json.dumps({**event, "reason": reason, "exit_code": exit_code})
    # Not through sys.stderr, whose lock the thread that hangs may hold.
    with suppress(OSError):
        os.write(stderr_descriptor(), f"\n{line}\n".encode())
    os._exit(exit_code)
