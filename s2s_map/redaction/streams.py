"""Everything that leaves this process as text: standard output and error, logs, what C writes.

Logs are redacted where records are made, since libraries bring handlers of their own. What GDAL,
libcurl and other libraries in C write to the file descriptor of standard error, and what processes
write that inherit it, comes through a pipe.
"""

from __future__ import annotations

import codecs
import fcntl
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from s2s_map.redaction.logs import redact_logs
from s2s_map.redaction.text import redacted

_PIPE_BYTES = 1 << 20
_DRAIN_S = 1.0
_lock = threading.Lock()
_standing: list[object] = []
_kept: list[int] = []


class RedactedStream(io.TextIOBase):
    """A text stream that redacts what is written to it, call by call.

    Args:
        stream: Where it goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text; returns how many characters were given."""
        self._stream.write(redacted(text))
        return len(text)

    def flush(self) -> None:
        """Pass it on."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream behind is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream behind."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream behind."""
        return self._stream.encoding or "utf-8"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def redacted_streams() -> Iterator[None]:
    """Put the gate before standard output and error, logs and what C libraries write.

    As they were again in the end, but for logs, which stay redacted.
    """
    redact_logs()
    out, err = sys.stdout, sys.stderr
    if isinstance(err, RedactedStream):
        yield
        return
    with _c_stderr(err) as own:
        sys.stdout, sys.stderr = RedactedStream(out), RedactedStream(own)
        try:
            yield
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            with suppress(OSError, ValueError):
                sys.stderr.flush()
            sys.stdout, sys.stderr = out, err


def keep_redacted() -> None:
    """Put the gate before the streams of this process for as long as it lives, as in a worker."""
    with _lock:
        if not _standing:
            context = redacted_streams()
            context.__enter__()
            _standing.append(context)


def stderr_descriptor() -> int:
    """Return where standard error really goes, for last words that need no gate."""
    return _kept[-1] if _kept else 2


@contextmanager
def _c_stderr(err: TextIO) -> Iterator[TextIO]:
    """Lead the descriptor of standard error through the gate; yields where Python's own goes."""
    try:
        kept = os.dup(2)
        reader, writer = os.pipe()
    except OSError:
        yield err
        return
    with suppress(OSError, AttributeError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    # Whoever writes may hold what the reading thread waits for: rather lose lines than stand still.
    os.set_blocking(writer, False)
    own = err
    with suppress(OSError, ValueError, AttributeError):
        if err.fileno() == 2:
            err.flush()
            own = os.fdopen(
                os.dup(kept), "w", encoding=err.encoding, errors="backslashreplace", buffering=1
            )
    _kept.append(kept)
    os.dup2(writer, 2)
    os.close(writer)
    thread = threading.Thread(target=_pump, args=(reader, kept), name="stderr", daemon=True)
    thread.start()
    try:
        yield own
    finally:
        if own is not err:
            own.close()
        os.dup2(kept, 2)
        _kept.remove(kept)
        # A process that was left behind may hold the pipe open: then the thread stays with it.
        thread.join(_DRAIN_S)


def _pump(reader: int, target: int) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    with suppress(OSError):
        while data := os.read(reader, 1 << 16):
            lines = (rest + decoder.decode(data)).splitlines(keepends=True)
            # A line without its end may yet get the rest of a secret.
            rest = lines.pop() if lines and not lines[-1].endswith(("\n", "\r")) else ""
            _put(target, "".join(lines))
        _put(target, rest)
    os.close(reader)
    os.close(target)


def _put(target: int, text: str) -> None:
    data = redacted(text).encode()
    while data:
        data = data[os.write(target, data) :]
