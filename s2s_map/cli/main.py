"""The command ``s2s-map``: its verbs, and how errors become exit codes."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Callable
from functools import cache
from types import FrameType
from typing import Annotated, NoReturn

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
from s2s_map.cli.stopping import BATCH_STOP_S, STOP_S, hard_deadline
from s2s_map.foreign import fault_of_ours, translated
from s2s_map.redaction import redacted_traceback
from s2s_map.redaction.streams import redacted_streams

INTERRUPTED = 4
_OURS = 1
_TYPERS_INTERRUPTED = 130

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
# Longitudes in the west begin with a minus, which is no option.
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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code.

    0: done. 1: a fault of the program itself. 2: bad input, said in one line. 3: done with holes.
    4: stopped, can be resumed.
    75: storage or cluster is away for now; the same command may go well later.
    """
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    if not debug:
        warnings.simplefilter("ignore")
        # They say what an error of ours says in a line.
        for library in ("rasterio", "odc.loader"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, _as_interrupt)
    log_json = "--log-json" in given
    # A batch waits for its runs, each of which has a deadline of its own.
    allowance_s = BATCH_STOP_S if "batch" in given else STOP_S
    with redacted_streams(), hard_deadline(allowance_s, INTERRUPTED, log_json=log_json):
        _call(given, debug=debug, log_json=log_json)


def _call(given: list[str], *, debug: bool, log_json: bool) -> None:
    error = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        # --debug may stand anywhere, as one adds it to the line that failed.
        _command()(["--debug", *(a for a in given if a != "--debug")] if debug else given)
    except KeyboardInterrupt:
        _stopped(error, log_json=log_json)
    except SystemExit as end:
        # What Typer makes of KeyboardInterrupt.
        if end.code != _TYPERS_INTERRUPTED:
            raise
        _stopped(error, log_json=log_json)
    except Exception as problem:
        _failed(error, problem, debug=debug, log_json=log_json)


@cache
def _command() -> Callable[[list[str]], object]:
    # Made of the verbs' signatures: by far the longest part of a short command.
    return typer.main.get_command(app)


def _failed(error: Console, problem: Exception, *, debug: bool, log_json: bool) -> NoReturn:
    known = translated(problem)
    reason = str(known) if known is not None else fault_of_ours(problem)
    exit_code = _OURS if known is None else known.exit_code
    if log_json:
        # Whoever reads a log cannot ask again with --debug.
        trace = redacted_traceback() if debug or known is None else None
        _logged("error", reason, exit_code, traceback=trace)
    if debug:
        error.print(_escaped(redacted_traceback()))
    error.print(f"[bold red]error:[/] {_escaped(reason)}")
    sys.exit(exit_code)


def _stopped(error: Console, *, log_json: bool) -> NoReturn:
    remedy = "stopped; start the same command again to go on where it stopped"
    if log_json:
        _logged("error", remedy, INTERRUPTED)
    error.print(f"[bold red]error:[/] {remedy}")
    sys.exit(INTERRUPTED)


def _logged(event: str, reason: str, exit_code: int, **about: object) -> NoReturn:
    """Log how the program ends and end it."""
    from s2s_map.cli.json_log import write_event

    write_event(event, "error", reason=reason, exit_code=exit_code, **about)
    sys.exit(exit_code)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    # Schedulers stop jobs with SIGTERM: end as cleanly as on Ctrl-C.
    raise KeyboardInterrupt
