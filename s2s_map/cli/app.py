"""The verbs of the command ``s2s-map``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated

import typer

from s2s_map.cli import (
    batch,
    catalog,
    dataset,
    doctor,
    evaluate,
    explain,
    models,
    new_config,
    plan,
    query,
    run,
    status,
    train,
    validate,
)
from s2s_map.cli.console import Console

app = typer.Typer(
    name="s2s-map",
    help="Maps of where a sound is likely to be heard, from satellite imagery and a text or a "
    "recording.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("run")(run.run_command)
app.command("query")(query.query_command)
# Longitudes in the west begin with a minus, which is not an option.
app.command("explain", context_settings={"ignore_unknown_options": True})(explain.explain_command)
app.command("status")(status.status_command)
app.command("verify")(status.verify_command)
app.command("plan")(plan.plan_command)
app.command("validate")(validate.validate_command)
app.command("new-config")(new_config.new_config_command)
app.command("train")(train.train_command)
app.command("doctor")(doctor.doctor_command)
app.add_typer(batch.app, name="batch")
app.add_typer(catalog.app, name="catalog")
app.add_typer(dataset.app, name="dataset")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(models.app, name="models")


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        Console().print(f"s2s-map {version('s2s-map')}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and library warnings.")
    ] = False,
) -> None:
    """Maps of where a sound is likely to be heard."""


@cache
def command() -> Callable[[list[str]], object]:
    """Return what takes the arguments of a command line."""
    # Made of the verbs' signatures: by far the longest part of a short command.
    return typer.main.get_command(app)
