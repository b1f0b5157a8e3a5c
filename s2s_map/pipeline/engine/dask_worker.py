"""What runs on the workers of a Dask cluster: the task that a run has brought, and calls of it."""

from __future__ import annotations

from dataclasses import dataclass
from threading import BoundedSemaphore, Event
from typing import TYPE_CHECKING, Any

from distributed import get_worker
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.protocol.pickle import dumps, loads

from s2s_map.errors import ClusterError
from s2s_map.pipeline.engine.dask_versions import installed_versions, version_differences
from s2s_map.pipeline.engine.executor import FATAL, StoppedError
from s2s_map.pipeline.engine.glibc_memory import reuse_freed_memory
from s2s_map.redaction import remember, remembered
from s2s_map.redaction.streams import keep_redacted

if TYPE_CHECKING:
    from distributed import Worker


class TaskPlugin(WorkerPlugin):
    """Keeps the task of a run on each worker; taking it away stops what it has in flight.

    Args:
        token: Random name of this bringing of the task.
        task: The task; it pickles.
        in_flight: How many items are at work at a time on one worker.
    """

    def __init__(self, token: str, task: Any, in_flight: int) -> None:
        # Packed by itself: a worker that lacks a module of it says so, and starts all the same.
        self._token, self._task, self._in_flight = token, dumps(task), in_flight
        # Keys are in the task's addresses: the worker's own logs and errors must not show them.
        self._secrets = remembered()
        self._versions = installed_versions()

    def setup(self, worker: Worker) -> None:
        """Install the task, also on workers that join later."""
        reuse_freed_memory()
        keep_redacted()
        for name, value in self._secrets:
            remember(name, value)
        differences = version_differences(installed_versions(self._versions), self._versions)
        # Those that were there at the start have been compared; this one has joined since.
        task = _Unfit(differences) if differences else _unpacked(self._task)
        _INSTALLED.setdefault(self._token, (task, Event(), BoundedSemaphore(self._in_flight)))

    def teardown(self, worker: Worker) -> None:
        """Stop the task."""
        installed = _INSTALLED.pop(self._token, None)
        if installed is not None:
            installed[1].set()


# Of this process, where it is a worker: the tasks that runs have brought, by their tokens.
_INSTALLED: dict[str, tuple[Any, Event, BoundedSemaphore]] = {}


def _unpacked(task: bytes) -> Any:
    try:
        return loads(task)
    except (ImportError, AttributeError) as error:
        return _Unfit([f"{error}, there"])


@dataclass(frozen=True)
class _Unfit:
    """Stands for the task on a worker that has other versions, or lacks a module."""

    differences: list[str]

    def __call__(self, item: Any, stop: Event) -> Any:
        self.prepare()

    def prepare(self) -> None:
        raise ClusterError(f"other versions: {', '.join(self.differences)}")


@dataclass(frozen=True)
class Refusal:
    """What a worker answers that cannot do the work, for a reason that may be its own.

    Attributes:
        worker: Its address.
        error: The reason.
    """

    worker: str
    error: Exception


def call_task(token: str, item: Any) -> Any:
    """Do an item on this worker.

    Args:
        token: Of the task, see `TaskPlugin`.
        item: The item.

    Returns:
        What the task returns, or a `Refusal`.

    Raises:
        StoppedError: If the task is not here, or no longer wanted.
    """
    try:
        task, stop, slots = _INSTALLED[token]
    except KeyError:
        raise StoppedError("the run has ended") from None
    with slots:
        if stop.is_set():
            raise StoppedError("the run has ended")
        try:
            return task(item, stop)
        except (*FATAL, ClusterError) as error:
            return Refusal(get_worker().address, error)


def prepare_task(token: str) -> Exception | None:
    """Let the task load what it needs on this worker; returns what stands in the way."""
    prepare = getattr(_INSTALLED[token][0], "prepare", None)
    try:
        if prepare is not None:
            prepare()
    except Exception as error:
        return error
    return None
