"""The folder of a batch, or its prefix of an object store: lock, configs, logs, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from s2s_map.config.batch import BatchRun
from s2s_map.config.making_time import making_time
from s2s_map.errors import OutputError
from s2s_map.outputs import names
from s2s_map.outputs.atomic import replacing_file
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import OutputPath, output_path
from s2s_map.rasters.stac_collection import write_collection
from s2s_map.redaction import file_json

if TYPE_CHECKING:
    from s2s_map.pipeline.batch.run_batch import Outcome

REPORT, COLLECTION, RUNS = "batch.json", "collection.json", "runs"
KEEP_LOGS_S = 60.0
"""How often logs of runs at work are put into an object store, which has no append, seconds."""


class BatchFolder:
    """Where a batch keeps what is not a run's own, held by this process; see `locked_batch`.

    Args:
        path: The folder, or the prefix.
        work: Local folder for configs and logs while the runs are at work.
        check: Raises if another start has taken the folder.
        note: Called with what is worth a line.
    """

    def __init__(
        self,
        path: OutputPath,
        work: Path,
        check: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self.path, self.work, self.check = path, work, check
        self._note = note
        # One thread: what hangs on a store that is away must not keep the batch from its runs.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batch-logs")
        self._puts: dict[str, Future[None]] = {}

    def write_config(self, run: BatchRun) -> Path:
        """Write the resolved config of a run; returns a local file."""
        text = yaml.safe_dump(run.config.model_dump(mode="json"), sort_keys=False)
        file = self.work / f"{run.name}.yaml"
        for place in dict.fromkeys((file, self.path / RUNS / file.name)):
            with replacing_file(place) as partial:
                partial.write_text(text, encoding="utf-8")
        return file

    def log(self, run: str) -> Path:
        """Return the local file that a run logs to."""
        return self.work / f"{run}.log"

    def keep_logs(self, runs: Iterable[str], *, ended: bool = False) -> None:
        """Have the logs of runs put where the batch is, in the background.

        Args:
            runs: Their names.
            ended: Whether they are final; else they come again, and those on their way are left.
        """
        if self.work == self.path / RUNS:
            return
        for run in runs:
            before = self._puts.get(run)
            if ended or before is None or before.done():
                self._puts[run] = self._pool.submit(self._put_log, run)

    def write_report(self, outcomes: Sequence[Outcome], code: int | None) -> None:
        """Write what became of the runs so far; no exit code while the batch is at work."""
        content = {
            "schema": 1,
            "created": making_time().isoformat(timespec="seconds"),
            "exit_code": code,
            "runs": [asdict(outcome) for outcome in outcomes],
        }
        with replacing_file(self.path / REPORT) as partial:
            partial.write_text(file_json(content), "utf-8")

    def write_collection(self, title: str | None, outputs: Iterable[str]) -> None:
        """Write the STAC collection over the finished results of runs, if there are any.

        Raises:
            StoreError: For an item that is damaged.
            OutputError: If it cannot be written.
        """
        found = (open_output(output).finished_results() / names.ITEM for output in outputs)
        items = [item for item in found if item.is_file()]
        if items:
            write_collection(self.path / COLLECTION, title or self.path.name, items)

    def close(self) -> None:
        """Wait for the logs on their way."""
        self._pool.shutdown()

    def _put_log(self, run: str) -> None:
        target = self.path / RUNS / f"{run}.log"
        try:
            # Its bytes now: the run may be writing on.
            target.write_bytes(self.log(run).read_bytes())
        except (OutputError, OSError) as error:
            self._note(f"the log of {run} is not kept: {error}")


@contextmanager
def locked_batch(
    output: str, note: Callable[[str], None] = lambda _: None
) -> Iterator[BatchFolder]:
    """Hold a batch's folder, made if missing, for one start of the batch.

    Args:
        output: The batch's output, a folder or ``s3://bucket/prefix``.
        note: Called with what is worth a line, such as waiting for a holder that may be gone.

    Raises:
        OutputError: If another start is at work, or the folder cannot be written.
    """
    path, place = output_path(output), open_output(output)
    place.check_access()
    with place.locked(note) as lock, place.work_folder(RUNS) as work:
        folder = BatchFolder(path, work, lock.check, note)
        try:
            yield folder
        finally:
            folder.close()
