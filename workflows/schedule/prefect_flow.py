"""A batch as a Prefect flow: every run a task of its own, with its log, retries and state.

    pip install 's2s-map[prefect]'
    python workflows/schedule/prefect_flow.py workflows/batch.yaml                 # once
    python workflows/schedule/prefect_flow.py workflows/batch.yaml --cron "30 1 * * *"

What the exit codes of a run become: 0 a completed task; 2, bad input, a failed one that is not
tried again, as the same would come out; 3, complete with holes, a completed one named so; anything
else (4, stopped; 75, storage or cluster away; a killed process) is tried again and goes on where it
stopped. This program ends with the exit code of the gravest run, as `s2s-map batch run` does; with
4 when cancelled, 1 when Prefect itself breaks down.
"""

# Annotations are not put off here: Prefect pickles a served flow, with what its code refers to.
import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import wait
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

PROGRAM = (sys.executable, "-c", "from s2s_map.cli.main import main; main()")
BUG, BAD_INPUT, HOLES, STOPPED = 1, 2, 3, 4
HOLES_STATE = "CompletedWithHoles"
RETRIES = 3
_STOP_S = 90.0


class _Children:
    """The processes of the runs. Prefect pickles what it serves, so no lock or event is in here."""

    def __init__(self) -> None:
        self.alive: set[subprocess.Popen[str]] = set()
        self.cancelled = False

    def add(self, process: subprocess.Popen[str]) -> None:
        self.alive.add(process)
        # In this order: whoever is added too late for `stop` to see finds that it was called.
        if self.cancelled:
            _end([process])

    def stop(self) -> None:
        self.cancelled = True
        _end(list(self.alive))


def _end(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()


_children = _Children()


class RunEndedError(Exception):
    """A run that ended with another exit code than 0 and 3."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason

    def __str__(self) -> str:
        return f"exit code {self.code}: {self.reason}"


def worth_another_try(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """Say whether a failed task may succeed unchanged: not after bad input or a cancelled flow."""
    if _children.cancelled:
        return False
    error = state.result(raise_on_failure=False)
    return not (isinstance(error, RunEndedError) and error.code == BAD_INPUT)


@task(task_run_name="{name}", retries=RETRIES, retry_condition_fn=worth_another_try)
def map_region(name: str, config: Path, program: tuple[str, ...]) -> State[Any]:  # noqa: ARG001
    """Do one run in a process of its own; its output goes to the task's log.

    Args:
        name: Name of the run, which is the task's.
        config: Its resolved config.
        program: How s2s-map is started.

    Returns:
        A completed state, named so if the run has holes.

    Raises:
        RunEndedError: If the run failed or was stopped.
    """
    logger, last = get_run_logger(), "no message"
    process = subprocess.Popen(
        [*program, "run", str(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        _children.add(process)
        for line in process.stdout or ():
            if line.strip():
                last = line.strip()
                logger.info(last)
        code = process.wait()
    finally:
        _children.alive.discard(process)
    if code == HOLES:
        return Completed(name=HOLES_STATE, message=last)
    if code:
        raise RunEndedError(code, last)
    return Completed(message=f"complete: {config}")


@flow(name="s2s-map-batch", validate_parameters=True)
def map_batch(
    batch: Path, retry_delay_s: float = 60.0, program: tuple[str, ...] = PROGRAM
) -> State[Any]:
    """Do all runs of a batch that are not up to date.

    Args:
        batch: Batch file.
        retry_delay_s: Wait before a stopped run is started again, seconds.
        program: How s2s-map is started.

    Returns:
        A completed state, named so if runs have holes; failed, with the gravest exit code, if a
        run failed or was stopped.

    Raises:
        ConfigError: If the batch file does not validate.
        OutputError: If another start of the batch is at work.
    """
    from s2s_map.config.batch import load_batch
    from s2s_map.pipeline.batch.batch_folder import locked_batch
    from s2s_map.pipeline.batch.batch_regions import every_map
    from s2s_map.pipeline.batch.run_batch import gravest, plan_batch
    from s2s_map.redaction.logs import redact_logs

    redact_logs()
    logger = get_run_logger()
    settings, runs = load_batch(batch, every_map)
    failed: dict[str, int] = {}
    holes, submitted = [], {}
    with (
        locked_batch(settings.output, logger.info) as folder,
        ThreadPoolTaskRunner(max_workers=settings.parallel) as runner,
    ):
        try:
            for run, outcome in plan_batch(runs):
                if outcome.state == "failed":
                    logger.error("%s: %s", run.name, outcome.reason)
                    failed[run.name] = outcome.exit_code
                elif outcome.state == "holes":
                    logger.warning("%s: %s", run.name, outcome.reason)
                    holes.append(run.name)
                if outcome.state != "planned":
                    continue
                config = folder.write_config(run)
                submitted[run.name] = runner.submit(
                    map_region.with_options(retry_delay_seconds=retry_delay_s),
                    {"name": run.name, "config": config, "program": program},
                )
            wait(list(submitted.values()))
        except BaseException:
            # Before the runner waits for its threads: a cancelled flow leaves no run behind.
            _children.stop()
            raise
    for name, future in submitted.items():
        code = exit_code(future.state)
        if code == HOLES:
            holes.append(name)
        elif code:
            failed[name] = code
    if failed:
        said = f"{len(failed)} of {len(runs)} runs failed: {', '.join(failed)}"
        return Failed(message=said, data=RunEndedError(gravest(failed.values()), said))
    if holes:
        return Completed(name=HOLES_STATE, message=f"with holes: {', '.join(holes)}")
    return Completed(message=f"{len(submitted)} of {len(runs)} runs done, the others up to date")


def exit_code(state: State[Any]) -> int:
    """Return the exit code of `s2s-map` that a state of a run or of the flow stands for."""
    if state.is_completed():
        return HOLES if state.name == HOLES_STATE else 0
    if not state.is_failed():
        # Crashed is Prefect's word for what went wrong around the task; all else was called off.
        return BUG if state.is_crashed() else STOPPED
    error = state.result(raise_on_failure=False)
    if isinstance(error, RunEndedError):
        # Ended by a signal: as grave as a bug, since nobody asked for it.
        return error.code if error.code > 0 else BUG
    from s2s_map.errors import S2SMapError

    return error.exit_code if isinstance(error, S2SMapError) else BUG


def main() -> None:
    """Run the flow once, or serve it on a schedule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("batch", type=Path)
    parser.add_argument("--cron", help="serve the flow and start it at these times")
    given = parser.parse_args()
    if given.cron:
        # limit: an overlapping start waits.
        map_batch.serve(
            name="nightly", cron=given.cron, parameters={"batch": str(given.batch)}, limit=1
        )
        return
    try:
        state = map_batch(given.batch, return_state=True)
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    print(f"{state.name}: {state.message}")
    sys.exit(exit_code(state))


if __name__ == "__main__":
    main()
