"""The command ``s2s-map``: how it starts, and how errors become exit codes."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import TYPE_CHECKING, NoReturn

from s2s_map.cli.stopping import BATCH_STOP_S, STOP_S, Ending
from s2s_map.errors import InterruptedRunError

if TYPE_CHECKING:
    from s2s_map.cli.console import Console

INTERRUPTED = 4
_OURS = 1
_TYPERS_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code.

    0: done. 1: a fault of the program itself. 2: bad input, said in one line. 3: done with holes.
    4: stopped, can be resumed.
    75: storage or cluster is away for now; the same command may go well later.
    """
    given = sys.argv[1:] if arguments is None else arguments
    log_json = "--log-json" in given
    ending = Ending(INTERRUPTED, log_json=log_json)
    # Before anything is imported that takes time.
    with ending.guarding(to_the_end=arguments is None):
        try:
            _prepare_and_call(given, ending, debug="--debug" in given, log_json=log_json)
        except KeyboardInterrupt:
            _stopped(ending, log_json=log_json)


def _prepare_and_call(given: list[str], ending: Ending, *, debug: bool, log_json: bool) -> None:
    from s2s_map.cli.app import command
    from s2s_map.cli.console import Console
    from s2s_map.redaction.streams import redacted_streams

    if not debug:
        warnings.simplefilter("ignore")
        # It says what an error of ours says in a line.
        logging.getLogger("rasterio").setLevel(logging.CRITICAL)
    # A batch waits for its runs, each of which has a deadline of its own.
    allowance_s = BATCH_STOP_S if "batch" in given else STOP_S
    error = Console(stderr=True, soft_wrap=True)
    with redacted_streams(), ending.working(allowance_s):
        try:
            # --debug may stand anywhere, as one adds it to the line that failed.
            command()(["--debug", *(a for a in given if a != "--debug")] if debug else given)
        except SystemExit as end:
            # What Typer makes of KeyboardInterrupt.
            if end.code != _TYPERS_INTERRUPTED:
                raise
            _stopped(ending, log_json=log_json)
        except Exception as problem:
            # What is interrupted within a library may come out as any error.
            if ending.asked and not isinstance(problem, InterruptedRunError):
                _stopped(ending, log_json=log_json)
            with ending.last_line() as first:
                if first:
                    _failed(error, problem, debug=debug, log_json=log_json)
            sys.exit(INTERRUPTED)


def _failed(error: Console, problem: Exception, *, debug: bool, log_json: bool) -> NoReturn:
    from s2s_map.cli.console import styled
    from s2s_map.foreign import fault_of_ours, translated
    from s2s_map.redaction import redacted_traceback

    known = translated(problem)
    reason = str(known) if known is not None else fault_of_ours(problem)
    exit_code = _OURS if known is None else known.exit_code
    if log_json:
        # Whoever reads a log cannot ask again with --debug.
        trace = redacted_traceback() if debug or known is None else None
        _logged("error", reason, exit_code, traceback=trace)
    if debug:
        error.print(redacted_traceback())
    error.print(styled(("error:", "bold red"), f" {reason}"))
    sys.exit(exit_code)


def _stopped(ending: Ending, *, log_json: bool) -> NoReturn:
    from s2s_map.cli.console import Console, styled

    remedy = "stopped; start the same command again to go on where it stopped"
    with ending.last_line() as first:
        if first and log_json:
            _logged("error", remedy, INTERRUPTED)
        if first:
            line = styled(("error:", "bold red"), f" {remedy}")
            Console(stderr=True, soft_wrap=True).print(line)
    sys.exit(INTERRUPTED)


def _logged(event: str, reason: str, exit_code: int, **about: object) -> NoReturn:
    """Log how the program ends and end it."""
    from s2s_map.cli.json_log import write_event

    write_event(event, "error", reason=reason, exit_code=exit_code, **about)
    sys.exit(exit_code)
