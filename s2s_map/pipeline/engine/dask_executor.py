"""Running tasks on a Dask cluster, whoever started it.

The task itself goes to each worker once, as a plugin that the scheduler also gives to workers that
join later; what is submitted per item is the item. A new run of the same name replaces the task
of an older one, which stops what that still had in flight.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any

from distributed import KilledWorker

from s2s_map.errors import (
    ClusterError,
    ClusterUnavailableError,
    OutputUnavailableError,
    S2SMapError,
)
from s2s_map.pipeline.engine.dask_worker import Refusal, TaskPlugin, call_task, prepare_task
from s2s_map.pipeline.engine.dask_worker_watch import WATCH_S, WorkerWatch
from s2s_map.pipeline.engine.executor import (
    Outcome,
    StoppedError,
    Task,
    Tried,
    reason_of,
    twice,
)

if TYPE_CHECKING:
    from distributed import Client, Future

_SAME = "workers need the same packages, device, models, imagery and output"
_STARTED_HERE = ("local", "cuda")
_INSTALL_ATTEMPTS = 10
_PAUSE_S = 0.5
_CONNECT_S = 10.0
"""How long one attempt to reach a scheduler may take, seconds."""


class DaskExecutor:
    """A Dask client behind the interface `Executor`.

    Args:
        client: Connected to the scheduler.
        kind: "local", "cuda" or "tcp".
        name: What runs are called on the cluster; one run per name at a time, such as the output.
        in_flight: Items at work at a time per worker.
        wait_s: How long to wait for a lost scheduler or for workers, seconds.
        note: Called with a line for each worker that is removed from the run.
    """

    local = False

    def __init__(
        self,
        client: Client,
        kind: str,
        name: str,
        in_flight: int = 2,
        wait_s: float = 300.0,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.client = client
        self.kind = kind
        self._address = str(client.scheduler_info(n_workers=0)["address"])
        self._name = f"s2s-map {name}"
        self._in_flight = in_flight
        self._wait_s = wait_s
        self._token, self._number, self._careful, self._missed = "", 0, False, 0
        self._note = note or (lambda _: None)
        self._refused: dict[str, Exception] = {}
        self._sent_away: set[str] = set()

    def run[Item, Result](
        self, task: Task[Item, Result], items: Iterable[Item], stop: Event
    ) -> Iterator[Outcome[Item, Result]]:
        """Yield what became of each item, see `Executor`.

        Raises:
            ClusterUnavailableError: If the cluster stays away, or does not answer.
            ClusterError: If a worker cannot run the task.
        """
        self._task, self._careful, self._refused = task, False, {}
        self._sent_away = set()
        try:
            self._install(task)
            outcome: Outcome[Item, Result]
            for outcome in twice(self._once, items):
                self._careful = self._careful or isinstance(outcome.error, KilledWorker)
                yield outcome
        except OSError as error:
            # Not of a task, whose errors are outcomes: the scheduler went away while it was asked.
            raise ClusterUnavailableError(
                f"the cluster at {self._address} does not answer: {reason_of(error)}",
                remedy="start the same command again; finished blocks are kept",
            ) from error
        finally:
            stop.set()
            # Stops what is still at work on the workers, too.
            with suppress(Exception):
                self.client.unregister_worker_plugin(self._name)

    def _install(self, task: Any, *, late: bool = False) -> None:
        """Bring the task to the workers and let them load what it needs.

        Args:
            task: The task.
            late: Whether work has begun: a worker that cannot then is removed, if others can.

        Raises:
            ClusterError: If one of them cannot.
        """
        unfit: dict[str, Exception] = {}
        refused: Exception | None = None
        self._token = uuid.uuid4().hex
        plugin = TaskPlugin(self._token, task, self._in_flight)
        for attempt in range(_INSTALL_ATTEMPTS):
            try:
                self.client.register_plugin(plugin, name=self._name)
                break
            except OSError:
                # A worker died meanwhile, and the scheduler does not wait for the others. It has
                # kept the task for those that join; ask the others again.
                if attempt == _INSTALL_ATTEMPTS - 1:
                    raise
                time.sleep(_PAUSE_S)
            except Exception as refusal:
                # Unpacking the task failed there, as where the output is not to be seen. Dask hands
                # on the text alone.
                if not late:
                    raise ClusterError(
                        f"a worker cannot work on this run: {reason_of(refusal)}", remedy=_SAME
                    ) from refusal
                # The others have it all the same.
                refused = refusal
                break
        answers = self.client.run(prepare_task, self._token, on_error="return")
        for worker, error in answers.items():
            # A worker that has just died, or joins at this moment, does not count as unfit.
            if isinstance(error, S2SMapError | ImportError):
                unfit[worker] = error
            elif refused is not None and isinstance(error, KeyError):
                unfit[worker] = refused
        for worker, error in unfit.items():
            if not late or self.kind in _STARTED_HERE or len(unfit) == len(answers):
                raise ClusterError(
                    f"worker {worker} cannot work on this run: {reason_of(error)}", remedy=_SAME
                )
            self._send_away(worker, error)

    def _judge(self, refusal: Refusal) -> None:
        """Decide whether a worker alone is at fault, and send it away then.

        Raises:
            S2SMapError: What it said, if another one says so too or there is no other.
        """
        known = self._refused.get(refusal.worker)
        self._refused.setdefault(refusal.worker, refusal.error)
        # Those of a cluster that was started here are alike.
        alone = self.kind in _STARTED_HERE or not set(self.client.nthreads()) - set(self._refused)
        if alone or len(self._refused) > 1:
            raise refusal.error
        # Storage that is away for one worker is mostly away for all: only one that says so twice
        # is removed.
        if known is not None or not isinstance(refusal.error, OutputUnavailableError):
            self._send_away(refusal.worker, refusal.error)

    def _send_away(self, worker: str, error: Exception) -> None:
        if worker in self._sent_away:
            return
        self._sent_away.add(worker)
        self._note(f"worker {worker} is removed from the run: {reason_of(error)}; {_SAME}")
        with suppress(Exception):
            self.client.retire_workers([worker])

    def _once[Item, Result](self, items: Iterable[Item]) -> Iterator[Tried[Item, Result]]:
        waiting, flight = iter(items), _Flight[Item]()
        watch = WorkerWatch(self._wait_s)
        try:
            while True:
                workers = watch.count(self.client)
                # One more per worker than it works on, so that none waits for the scheduler. After
                # a block that killed its workers one at a time, so that it takes no other along.
                window = 1 if self._careful else max(1, workers) * (self._in_flight + 1)
                if not self._fill(flight, waiting, window):
                    return
                try:
                    future = flight.done.get(timeout=WATCH_S)
                except Empty:
                    continue
                if future.key not in flight.running:
                    continue
                if future.status in ("lost", "cancelled"):
                    flight.lose()
                    self._reconnect()
                    watch = WorkerWatch(self._wait_s)
                    continue
                try:
                    result = _result(future)
                except (OSError, CancelledError):
                    # What it returned went with its worker or the scheduler, and is computed again.
                    flight.done.put(future)
                    time.sleep(_PAUSE_S)
                    continue
                item = flight.running.pop(future.key)[1]
                if isinstance(result, StoppedError):
                    flight.lost.append(item)
                    flight.lose()
                    self._install_again()
                    continue
                if isinstance(result, Refusal):
                    self._judge(result)
                    flight.lost.append(item)
                    continue
                self._missed = 0
                yield item, result
        finally:
            flight.lose()

    def _fill[Item](self, flight: _Flight[Item], waiting: Iterator[Item], window: int) -> bool:
        while len(flight.running) < window:
            if flight.lost:
                item = flight.lost.pop(0)
            else:
                try:
                    item = next(waiting)
                except StopIteration:
                    break
            self._number += 1
            key = f"block-{self._token[:12]}-{self._number}"
            future = self.client.submit(call_task, self._token, item, key=key, pure=False)
            flight.running[key] = (future, item)
            future.add_done_callback(flight.done.put)
        return bool(flight.running)

    def _install_again(self) -> None:
        """Bring the task to a worker that does not have it, as one that joined in between.

        Raises:
            ClusterError: If another run has taken this one's place, or it does not help.
        """
        self._missed += 1
        held = self.client.run_on_scheduler(_scheduler_probe(), self._name, self._token)
        if not held or self._missed > _INSTALL_ATTEMPTS:
            raise ClusterError(
                "another run of the same output took this one's place on the cluster",
                remedy="wait for it to end",
            )
        self._install(self._task, late=True)

    def _reconnect(self) -> None:
        """Wait for the scheduler to come back, and give it the task again.

        Raises:
            ClusterUnavailableError: If it stays away.
        """
        from distributed import Client

        address, until = self._address, time.monotonic() + self._wait_s
        with suppress(Exception):
            self.client.close(timeout=1)
        while True:
            try:
                self.client = Client(address, timeout=_CONNECT_S, set_as_default=False)
                self.client.wait_for_workers(1, timeout=max(1.0, until - time.monotonic()))
                break
            except (OSError, TimeoutError) as error:
                if time.monotonic() > until:
                    raise ClusterUnavailableError(
                        f"the scheduler at {address} went away and stayed away "
                        f"for {self._wait_s:.0f} s",
                        remedy="start it and run again; finished blocks are kept",
                    ) from error
                time.sleep(1.0)
        self._install(self._task)


@dataclass
class _Flight[Item]:
    """What is on the cluster."""

    running: dict[str, tuple[Future[Any], Item]] = field(default_factory=dict)
    lost: list[Item] = field(default_factory=list)
    done: SimpleQueue[Future[Any]] = field(default_factory=SimpleQueue)

    def lose(self) -> None:
        """Take back everything, to be given out again."""
        for future, item in self.running.values():
            with suppress(Exception):
                future.cancel()
            self.lost.append(item)
        self.running = {}


def _scheduler_probe() -> Any:
    # A function within a function travels as its code: a scheduler may be without s2s_map.
    def holds(name: str, token: str, dask_scheduler: Any = None) -> bool:
        return token.encode() in dask_scheduler.worker_plugins.get(name, b"")

    return holds


def _result(future: Future[Any]) -> Any:
    """What a task returned or raised.

    Raises:
        OSError, CancelledError: If it is not to be had at this moment.
    """
    error = future.exception(timeout=WATCH_S) if future.status == "error" else None
    result = error if error is not None else future.result(timeout=WATCH_S)
    future.release()
    return result
