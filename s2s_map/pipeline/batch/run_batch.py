"""Many runs, one after the other or side by side; if one fails, the others go on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s2s_map.config.batch import BatchConfig, BatchRun
from s2s_map.encoding.queries import content_hashes, query_name
from s2s_map.errors import (
    TEMPORARY,
    IncompleteRunError,
    OutputError,
    OutputMismatchError,
    S2SMapError,
    StoreError,
)
from s2s_map.outputs import names
from s2s_map.outputs.atomic import output_errors
from s2s_map.outputs.holes import say_holes
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import output_path
from s2s_map.pipeline.batch.batch_folder import KEEP_LOGS_S, BatchFolder, locked_batch
from s2s_map.pipeline.batch.shared_crs import check_shared_crs
from s2s_map.pipeline.job.frozen_search import is_frozen, thaw
from s2s_map.pipeline.job.job import Job, resolve
from s2s_map.pipeline.job.output_folder import check_folder
from s2s_map.pipeline.job.run_record import RunRecord, read_record
from s2s_map.pipeline.verbs.plan import make_plan
from s2s_map.pipeline.verbs.verify import verify_results

State = Literal["planned", "running", "complete", "up to date", "holes", "failed", "interrupted"]

_STATES: dict[int, State] = {0: "complete", 3: "holes", 4: "interrupted"}
# From harmless to grave: holes, bad input, something away for now, any other failure, interrupted.
# What is worth another start outweighs bad input, which would keep it from one.
_GRAVITY = (0, 3, 2, TEMPORARY, 1, 4)
_TERMINATE_S = 60.0
_COMMAND = "from s2s_map.cli.main import main; main()"
# What does not change the results.
_HOW = ("cluster", "device", "batch_size")


@dataclass
class Outcome:
    """What became of one run.

    Attributes:
        name: Name of its folder.
        region: Name of its region.
        source: Imagery.
        model: Model.
        output: Its output, a folder or a prefix of an object store.
        state: What became of it.
        exit_code: As of `s2s-map run`.
        reason: Why it failed or has holes.
        seconds: How long it took.
        patches: Patches as planned.
    """

    name: str
    region: str
    source: str
    model: str
    output: str
    state: State = "planned"
    exit_code: int = 0
    reason: str = ""
    seconds: float = 0.0
    patches: int = 0


def plan_batch(
    runs: Sequence[BatchRun],
    catalogs: Sequence[str | Path] = (),
    *,
    retry_holes: bool = False,
) -> list[tuple[BatchRun, Outcome]]:
    """Plan all runs: find what is up to date, and what cannot be done, before any begins.

    With `retry_holes` runs with holes are not up to date.

    Raises:
        RegionError: If a region does not fit in the CRS that they share.
        OutputError: If the object store that they go to cannot be used.
    """
    check_shared_crs(runs)
    # Once for all of them: a store that is away is not asked for each with patience.
    for place in {output_path(run.config.output).parent for run in runs}:
        open_output(place).check_access()
    planned = []
    for run in runs:
        config = run.config
        outcome = Outcome(run.name, run.region, config.source, config.model, config.output)
        try:
            job = resolve(config, catalogs, open_output(config.output).finished_home())
            outcome.patches = make_plan(job).patches
            if is_up_to_date(job):
                outcome.state = "up to date"
                holes = read_record(open_output(job.output).finished_results() / names.RECORD).holes
                if holes and retry_holes:
                    outcome.state = "planned"
                elif holes:
                    # Starting it again would not fill them, and must not hide them.
                    outcome.state, outcome.exit_code = "holes", IncompleteRunError.exit_code
                    outcome.reason = say_holes(holes)
        except S2SMapError as error:
            # The run itself finds out whether what differs is what was repaired.
            if not (retry_holes and isinstance(error, OutputMismatchError)):
                outcome.state, outcome.exit_code = "failed", error.exit_code
                outcome.reason = str(error)
        planned.append((run, outcome))
    return planned


def is_up_to_date(job: Job) -> bool:
    """Return whether a job's folder holds complete results of the same inputs, model, questions.

    Nothing is searched: a source that searches is as its folder's search left it.

    Raises:
        AudioError: For a recording that is missing.
        OutputError: If it holds something else.
    """
    job = thaw(job, open_output(job.output).finished_home())
    if not is_frozen(job):
        return False
    check_folder(job.output, job.identity())
    results = open_output(job.output).finished_results()
    try:
        record = read_record(results / names.RECORD)
    except StoreError:
        return False
    there, here = (c.model_dump(exclude=set(_HOW)) for c in (record.config, job.config))
    written = (results / names.MAPS).is_dir() and (results / names.ITEM).is_file()
    whole = written and not verify_results(job.output, read=False)
    return not record.failed and there == here and whole and _same_questions(record, job)


def _same_questions(record: RunRecord, job: Job) -> bool:
    # The config names recordings by their paths; a file may have changed, or `query` a layer.
    for query in job.config.queries:
        about = record.concepts.get(query_name(query), {}).get("query", {})
        parts = about.get("parts", [about])
        if [part.get("sha256") for part in parts] != content_hashes(query):
            return False
    return True


def run_batch(
    batch: BatchConfig,
    runs: Sequence[BatchRun],
    catalogs: Sequence[str | Path] = (),
    told: Callable[[Outcome], None] = lambda _: None,
    *,
    note: Callable[[str], None] = lambda _: None,
    log_json: bool = False,
    retry_holes: bool = False,
) -> tuple[list[Outcome], int]:
    """Do all runs of a batch that are not up to date, then write its report and collection.

    Each run is a process of its own, ``s2s-map run``, whose config and log lie in the batch's
    folder: one that is killed for its memory does not take the others along.

    Args:
        batch: The batch.
        runs: Its runs.
        catalogs: Catalog files that come before the usual ones.
        told: Called with every outcome.
        note: Called with what is worth a line, such as a holder of the folder that may be gone.
        log_json: Have the runs log as JSON lines.
        retry_holes: Have them embed blocks again whose imagery had holes.

    Returns:
        The outcomes in the order of the runs, and the exit code of the gravest: 4 if interrupted,
        else 1 (a bug), 75 or 2 if a run failed, else 3 if one has holes, else 0.

    Raises:
        OutputError: If another start of the batch is at work, or the folder cannot be written.
    """
    with locked_batch(batch.output, note) as folder:
        planned = plan_batch(runs, catalogs, retry_holes=retry_holes)
        outcomes = [outcome for _, outcome in planned]
        for outcome in outcomes:
            if outcome.state != "planned":
                told(outcome)
        todo = [(run, outcome) for run, outcome in planned if outcome.state == "planned"]
        # From the start on, so that who looks after a loss of power does not see last night's.
        folder.write_report(outcomes, None)

        def saved() -> None:
            try:
                folder.write_report(outcomes, None)
            except OutputError as error:
                # The runs are what matters; the last report is not forgiven.
                note(f"the report is not up to date: {error}")

        def ended(outcome: Outcome) -> None:
            folder.keep_logs([outcome.name], ended=True)
            told(outcome)
            saved()

        try:
            named = [part for catalog in catalogs for part in ("--catalog", str(catalog))]
            asked = {"--log-json": log_json, "--retry-holes": retry_holes}
            options = [*named, *(option for option, wanted in asked.items() if wanted)]
            _run_all(folder, todo, options, batch.parallel, saved, ended)
        except KeyboardInterrupt:
            for outcome in outcomes:
                if outcome.state == "planned":
                    outcome.state, outcome.exit_code = "interrupted", 4
        folder.check()
        code = gravest(outcome.exit_code for outcome in outcomes)
        folder.write_report(outcomes, code)
        folder.write_collection(batch.title, [outcome.output for outcome in outcomes])
    return outcomes, code


def gravest(codes: Iterable[int]) -> int:
    """Return the exit code of a batch whose runs ended with these: the gravest; 0 for none."""
    return max(codes, key=_gravity, default=0)


def _run_all(
    folder: BatchFolder,
    todo: Sequence[tuple[BatchRun, Outcome]],
    options: Sequence[str],
    parallel: int,
    began: Callable[[], None],
    ended: Callable[[Outcome], None],
) -> None:
    waiting, running = list(todo), dict[int, tuple[subprocess.Popen[bytes], Outcome, float]]()
    kept = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                run, outcome = waiting.pop(0)
                folder.check()
                process = _started(folder, run, options)
                outcome.state = "running"
                running[process.pid] = (process, outcome, time.monotonic())
                began()
            for pid, (process, outcome, since) in list(running.items()):
                if process.poll() is not None:
                    del running[pid]
                    _settle(folder, process.returncode, outcome, since)
                    ended(outcome)
            if time.monotonic() - kept > KEEP_LOGS_S:
                folder.keep_logs(outcome.name for _, outcome, _ in running.values())
                kept = time.monotonic()
            time.sleep(0.05)
    except BaseException:
        # Also when a run cannot be started: none is left behind.
        for process, _, _ in running.values():
            process.terminate()
        for process, outcome, since in running.values():
            try:
                process.wait(_TERMINATE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _settle(folder, process.returncode, outcome, since)
            ended(outcome)
        raise


def _started(folder: BatchFolder, run: BatchRun, options: Sequence[str]) -> subprocess.Popen[bytes]:
    config, log = folder.write_config(run), folder.log(run.name)
    with output_errors(log), log.open("wb") as out:
        return subprocess.Popen(  # noqa: S603  (this program itself, no shell)
            [sys.executable, "-c", _COMMAND, "run", str(config), *options],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def _settle(folder: BatchFolder, code: int, outcome: Outcome, since: float) -> None:
    outcome.seconds = round(time.monotonic() - since, 3)
    # Killed by a signal: as grave as a bug, since nobody asked for it.
    outcome.exit_code = code if code >= 0 else 1
    outcome.state = _STATES.get(outcome.exit_code, "failed")
    if outcome.exit_code:
        log = folder.log(outcome.name).read_text(encoding="utf-8", errors="replace")
        lines = log.strip().splitlines()
        said = [why for line in lines if (why := _error_in(line))] or lines[-1:]
        died = f"ended by signal {-code}; " if code < 0 else ""
        outcome.reason = died + (said[-1] if said else "no message")


def _error_in(line: str) -> str:
    """Return the reason that a line of a log gives for a run's end, "" if it gives none."""
    if line.startswith("error:"):
        return line.removeprefix("error:").strip()
    try:
        event = json.loads(line)
    except ValueError:
        return ""
    ended = isinstance(event, dict) and event.get("event") == "error"
    return str(event.get("reason", "")) if ended else ""


def _gravity(code: int) -> int:
    return _GRAVITY.index(code) if code in _GRAVITY else _GRAVITY.index(1)
