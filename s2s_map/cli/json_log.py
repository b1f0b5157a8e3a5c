"""Structured logs: one JSON object a line on standard error, without secrets."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Literal

from s2s_map.cli.paced_reporter import PacedReporter
from s2s_map.redaction import cleaned

type LogLevel = Literal["info", "warning", "error"]

_LINE = Lock()


def write_event(event: str, level: LogLevel = "info", **about: Any) -> None:
    """Write one line: time (UTC), level, event, and what else is known of it.

    Args:
        event: What happened, such as "block failed".
        level: "info", "warning" or "error".
        about: Further keys; those that are None are left out.
    """
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "event": event,
        **{key: value for key, value in about.items() if value is not None},
    }
    text = json.dumps(cleaned(line), ensure_ascii=False, default=str)
    with _LINE:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class JsonReporter(PacedReporter):
    """The progress of a run as events: stages, blocks, and a count every ten seconds."""

    def __init__(self) -> None:
        super().__init__()
        _take_logs()

    def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
        """Tell of the stage."""
        super().start(stage, total, unit, done)
        self._tell("stage started")

    def _progress(self, rate: float) -> None:
        self._tell("progress", per_s=round(rate, 2))

    def finish(self) -> None:
        """Tell how long the stage took."""
        self._tell("stage finished", seconds=round(time.monotonic() - self._began, 3))

    def note(self, text: str) -> None:
        """Tell what is worth a line."""
        write_event("note", "warning", reason=text)

    def block_done(self, block: str, counts: dict[str, int], seconds: float) -> None:
        """Tell of a finished block."""
        write_event("block done", block=block, counts=counts, seconds=seconds)

    def block_failed(self, block: str, reason: str, final: bool) -> None:
        """Tell of a failed block."""
        write_event(
            "block failed", "error" if final else "warning", block=block, reason=reason, final=final
        )

    def _tell(self, event: str, **about: Any) -> None:
        counts = {"done": self._done, "total": self._total, "found": self._found}
        write_event(event, stage=self._stage, unit=self._unit, counts=counts, **about)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level: LogLevel = "error" if record.levelno >= logging.ERROR else "warning"
        write_event("log", level, logger=record.name, reason=record.getMessage())


def _take_logs() -> None:
    """Let warnings of libraries that log the ordinary way come as lines, too."""
    root = logging.getLogger()
    if not any(isinstance(handler, _Handler) for handler in root.handlers):
        root.addHandler(_Handler(logging.WARNING))
