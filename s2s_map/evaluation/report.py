"""A report of an evaluation: JSON for programs, Markdown for people, pictures beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from s2s_map.errors import OutputError
from s2s_map.outputs.atomic import replacing_folder
from s2s_map.redaction import cleaned, redacted
from s2s_map.scoring.bootstrap import Estimate

JSON_FILE = "report.json"
MARKDOWN_FILE = "report.md"

type Draw = Callable[[Path], None]
"""Writes a picture to a path."""


@dataclass(frozen=True)
class Table:
    """Rows for people.

    Attributes:
        title: What is in it.
        columns: Headings.
        rows: Cells as text.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return it in Markdown."""
        lines = [f"## {self.title}", "", _line(self.columns), _line(["---"] * len(self.columns))]
        return "\n".join([*lines, *(_line(row) for row in self.rows)])


@dataclass(frozen=True, eq=False)
class Report:
    """What an evaluation found.

    Attributes:
        title: What was evaluated.
        content: Everything, as JSON can hold it.
        tables: What people read.
        notes: Sentences below the tables.
        pictures: By file name.
    """

    title: str
    content: Mapping[str, Any]
    tables: Sequence[Table]
    notes: Sequence[str] = ()
    pictures: Mapping[str, Draw] = field(default_factory=dict)

    def markdown(self) -> str:
        """Return the tables, notes and pictures in Markdown."""
        parts = [f"# {self.title}", *(table.markdown() for table in self.tables)]
        parts += ["\n".join(f"- {note}" for note in self.notes)] if self.notes else []
        parts += [f"![{Path(name).stem}]({name})" for name in self.pictures]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path, files: Mapping[str, Draw] | None = None) -> None:
        """Write the report as a folder, complete or not at all.

        Args:
            folder: Where.
            files: Further files by name.

        Raises:
            OutputError: For a folder that holds something else, a full disk and the like.
        """
        check_report_folder(folder)
        with replacing_folder(folder) as partial:
            partial.mkdir(parents=True)
            content = {"s2s_map": version("s2s-map"), **self.content}
            text = json.dumps(cleaned(content), indent=2, ensure_ascii=False, allow_nan=False)
            (partial / JSON_FILE).write_text(text + "\n", encoding="utf-8")
            (partial / MARKDOWN_FILE).write_text(redacted(self.markdown()), encoding="utf-8")
            for name, draw in {**self.pictures, **(files or {})}.items():
                draw(partial / name)


def check_report_folder(folder: Path) -> None:
    """Refuse a folder that is not an earlier report, before anything is computed.

    Raises:
        OutputError: It names what is there.
    """
    if folder.is_file():
        raise OutputError(f"{folder} is a file", expected="a folder", remedy="name another one")
    if folder.is_dir() and not (folder / JSON_FILE).is_file() and any(folder.iterdir()):
        raise OutputError(
            f"{folder} holds something else than a report",
            expected="an empty folder or an earlier report",
            remedy="name another one with --output",
        )


def count_table(counts: Mapping[str, int]) -> Table:
    """Return how many points were read, dropped for what, and used."""
    return Table("Points", ("", "count"), [(name, f"{n:,}") for name, n in counts.items()])


def shown(estimate: Estimate, digits: int = 3) -> str:
    """Write a number with its interval: ``0.842 [0.801, 0.878]``."""
    one, low, high = (
        f"{value:.{digits}f}" for value in (estimate.value, estimate.low, estimate.high)
    )
    return f"{one} [{low}, {high}]"


def shown_percent(estimate: Estimate) -> str:
    """Write a share as per cent with its interval."""
    return shown(estimate.scaled(100), 2)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
