"""Progress for people (bars) and for logs (a line now and then)."""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from s2s_map.cli.console import Console
from s2s_map.cli.json_log import JsonReporter
from s2s_map.cli.paced_reporter import PacedReporter
from s2s_map.reporter import Reporter


def reporter(console: Console, log_json: bool = False) -> Reporter:
    """Return bars for a terminal, log lines for anything else, or JSON lines if asked for."""
    if log_json:
        return JsonReporter()
    return BarReporter(console) if console.is_terminal else LogReporter()


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "")
        return Text("" if speed is None else f"{speed:,.0f} {unit}/s", style="cyan")


class BarReporter(Reporter):
    """One bar a stage, with rate and time left."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            _RateColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self._task = self._progress.add_task("", visible=False, unit="")

    def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
        """Show a bar for the stage."""
        self._progress.start()
        self._task = self._progress.add_task(stage, total=total, completed=done, unit=unit)

    def advance(self, count: int) -> None:
        """Move the bar."""
        self._progress.advance(self._task, count)

    def finish(self) -> None:
        """Leave the bar as it is."""
        self._progress.stop()

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, highlight=False)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to standard error as it is at the time: who replaces it gets the lines."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        pass


class LogReporter(PacedReporter):
    """A log line at the start and end of a stage and every ten seconds between."""

    def __init__(self) -> None:
        super().__init__()
        self._log = logging.getLogger("s2s_map")
        if not self._log.handlers:
            handler = _StderrHandler()
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
            self._log.addHandler(handler)
            self._log.setLevel(logging.INFO)

    def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
        """Log the stage."""
        super().start(stage, total, unit, done)
        resumed = f" ({done:,} done before)" if done else ""
        self._log.info("%s: %s %s%s", stage, f"{total:,}", unit, resumed)

    def _progress(self, rate: float) -> None:
        left = (self._total - self._done) / rate if rate > 0 else float("inf")
        self._log.info(
            "%s: %s of %s %s, %.0f/s, %.0f s left",
            self._stage,
            f"{self._done:,}",
            f"{self._total:,}",
            self._unit,
            rate,
            left,
        )

    def finish(self) -> None:
        """Log how long the stage took."""
        self._log.info("%s: done in %.1f s", self._stage, time.monotonic() - self._began)

    def note(self, text: str) -> None:
        """Log a line."""
        self._log.info("%s", text)
