"""``s2s-map batch``: many runs from one file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from s2s_map.cli.console import Console
from s2s_map.cli.options import CatalogFiles, Cluster, LogJson, RetryHoles, with_cluster

if TYPE_CHECKING:
    from s2s_map.pipeline.batch.run_batch import Outcome

app = typer.Typer(no_args_is_help=True, help="Many runs from one file: regions, sources, models.")

BatchFile = Annotated[
    Path, typer.Argument(metavar="BATCH", help="Batch file, YAML.", show_default=False)
]


@app.command("plan")
def plan_command(batch: BatchFile, catalog: CatalogFiles = None) -> None:
    """Plan all runs of a batch: what is up to date, what is to do, what cannot be done."""
    from s2s_map.config.batch import load_batch
    from s2s_map.pipeline.batch.batch_regions import every_map
    from s2s_map.pipeline.batch.run_batch import plan_batch

    _, runs = load_batch(batch, every_map)
    outcomes = [outcome for _, outcome in plan_batch(runs, catalog or [])]
    _print(Console(), outcomes)
    if any(outcome.exit_code for outcome in outcomes):
        raise typer.Exit(2)


@app.command("run")
def run_command(
    batch: BatchFile,
    catalog: CatalogFiles = None,
    cluster: Cluster = None,
    retry_holes: RetryHoles = False,
    log_json: LogJson = False,
) -> None:
    """Do all runs of a batch that are not up to date. If one fails, the others go on.

    The exit code is the first of these that any run ended with: 4 interrupted; 1 a bug, or killed,
    as for its memory; 75 storage or cluster went away; 2 failed: bad input or nothing mapped; 3
    with holes; 0 all complete.
    """
    from s2s_map.cli.json_log import write_event
    from s2s_map.config.batch import load_batch
    from s2s_map.pipeline.batch.batch_folder import COLLECTION, REPORT
    from s2s_map.pipeline.batch.batch_regions import every_map
    from s2s_map.pipeline.batch.run_batch import run_batch

    console = Console()
    config, runs = load_batch(batch, every_map)
    runs = [replace(run, config=with_cluster(run.config, cluster)) for run in runs]

    def told(one: Outcome) -> None:
        console.print(f"{one.name}: {one.state}", highlight=False, markup=False)
        if log_json:
            _log(one)

    def note(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        if log_json:
            write_event("note", reason=text)

    outcomes, code = run_batch(
        config, runs, catalog or [], told, note=note, log_json=log_json, retry_holes=retry_holes
    )
    _print(console, outcomes)
    console.print(f"{config.output}: {REPORT}, {COLLECTION}, runs/ with logs", highlight=False)
    if code:
        raise typer.Exit(code)


def _log(one: Outcome) -> None:
    from s2s_map.cli.json_log import write_event

    write_event(
        "run ended",
        "error" if one.state == "failed" else "warning" if one.exit_code else "info",
        run=one.name,
        state=one.state,
        exit_code=one.exit_code,
        reason=one.reason or None,
        counts={"patches": one.patches},
        seconds=one.seconds,
    )


def _print(console: Console, outcomes: list[Outcome]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("run", "state", "patches", "seconds"):
        table.add_column(name, overflow="fold")
    for one in outcomes:
        seconds = f"{one.seconds:.0f}" if one.seconds else ""
        table.add_row(one.name, one.state, f"{one.patches:,}", seconds)
    console.print(table, highlight=False, markup=False)
    for one in outcomes:
        if one.reason:
            console.print(
                f"{one.name}: {one.reason}", highlight=False, markup=False, soft_wrap=True
            )
