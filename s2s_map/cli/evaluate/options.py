"""Options that several evaluations share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2s_map.cli.console import Console

if TYPE_CHECKING:
    from s2s_map.evaluation.report import Report

ReportFolder = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder of the report.", show_default="evaluation/..."),
]
Samples = Annotated[int, typer.Option(min=1, help="Bootstrap samples of the intervals.")]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn at random.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
Batch = Annotated[int, typer.Option(min=1, help="Images or recordings in one pass.")]

Effort = Annotated[
    Path | None,
    typer.Option(help="All places where one listened, whatever was heard: CSV with lon, lat."),
]
TrainingPoints = Annotated[
    Path | None,
    typer.Option(help="Places the model was trained on: CSV with lon, lat."),
]
TrainingKm = Annotated[
    float,
    typer.Option(
        min=0, help="Drop observations this near to a training point, and draw no background, km."
    ),
]
Unique = Annotated[
    bool, typer.Option("--unique", help="Count observations of one place and outcome once.")
]
MaxUncertainty = Annotated[
    float,
    typer.Option(
        "--max-uncertainty",
        min=0,
        help="Leave out observations, and effort, known less well than this, metres.",
    ),
]
Background = Annotated[
    int, typer.Option(min=100, help="Background points, where absences are not known.")
]
EffortKm = Annotated[
    float, typer.Option(min=0, help="Spread of the background around the effort points, km.")
]
BlockKm = Annotated[
    float, typer.Option(min=0.001, help="Squares that are drawn whole for the intervals, km.")
]

DEFAULT_FOLDER = Path("evaluation")
_WIDE = 6


def check_installed(*packages: str) -> None:
    """Refuse to go on without the packages of evaluations.

    Args:
        packages: Needed beside scikit-learn.

    Raises:
        DataError: It says how to install them.
    """
    from s2s_map.errors import DataError
    from s2s_map.extras import check_extra

    check_extra("evaluate", "this evaluation", *packages, error=DataError)


def show(report: Report, folder: Path) -> None:
    """Print the tables of a report and where it lies."""
    from rich.table import Table

    console = Console()
    for one in report.tables:
        # A terminal is narrow: of wide tables the intervals stand in the report only.
        wide = len(one.columns) > _WIDE
        table = Table(title=one.title, title_justify="left", box=None, title_style="bold")
        for i, column in enumerate(one.columns):
            longest = max(map(len, column.split()), default=1)
            table.add_column(
                column,
                header_style="dim",
                overflow="fold",
                no_wrap=wide and i == 0,
                min_width=longest,
            )
        for row in one.rows:
            table.add_row(*(cell.partition(" [")[0] if wide else cell for cell in row))
        console.print(table)
    for note in report.notes:
        console.print(note, style="dim", markup=False)
    console.print(f"\nwrote the report to {folder}", markup=False, soft_wrap=True)
