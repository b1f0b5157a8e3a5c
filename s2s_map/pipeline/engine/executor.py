"""One interface to run a task for every item: threads of this process, or a Dask cluster.

A task is called as ``task(item, stop)`` and returns a small result. What runs it promises:

- few items are in flight at a time, however many there are;
- an item whose task raises is tried once more when all others are through, and then given up;
- errors that every further item would meet as well (`FATAL`) end the run at once;
- when the iterator ends, by whatever way, `stop` is set and no task of it writes any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from s2s_map.errors import ConfigError, ImageryChangedError, ModelError, OutputError, S2SMapError
from s2s_map.redaction import redacted

type Task[Item, Result] = Callable[[Item, Event], Result]
"""What is done with an item. It watches the event, and must pickle where a cluster runs it."""

type Tried[Item, Result] = tuple[Item, Result | Exception]

FATAL = (ConfigError, ModelError, OutputError, ImageryChangedError)
"""A full disk or a model that does not load: the next item would meet it too. And imagery that is
replaced: no map is to be of two images."""


class StoppedError(Exception):
    """Unwinds a task that is no longer wanted."""


@dataclass(frozen=True)
class Outcome[Item, Result]:
    """What became of one item.

    Attributes:
        item: The item.
        result: What its task returned; None if it failed.
        error: Why it failed.
        final: False for a first failure: the item is tried again at the end.
    """

    item: Item
    result: Result | None = None
    error: Exception | None = None
    final: bool = True


class Executor(Protocol):
    """Runs a task for every item, see the module's promises.

    Attributes:
        kind: What it is, for the record: "threads", "local", "cuda" or "tcp".
        local: Whether tasks run in this process, and may hold what does not pickle.
    """

    kind: str
    local: bool

    def run[Item, Result](
        self, task: Task[Item, Result], items: Iterable[Item], stop: Event
    ) -> Iterator[Outcome[Item, Result]]:
        """Yield what became of each item, in the order in which they finish.

        Raises:
            S2SMapError: One of `FATAL`, or a cluster that is lost.
        """


class ThreadsExecutor:
    """Threads of this process: while one item is encoded others are read and written.

    Args:
        in_flight: Items at work at a time.
    """

    kind = "threads"
    local = True

    def __init__(self, in_flight: int = 2) -> None:
        self._in_flight = in_flight

    def run[Item, Result](
        self, task: Task[Item, Result], items: Iterable[Item], stop: Event
    ) -> Iterator[Outcome[Item, Result]]:
        """Yield what became of each item, see `Executor`."""

        def once(some: Iterable[Item]) -> Iterator[Tried[Item, Result]]:
            return self._once(task, some, stop)

        return twice(once, items)

    def _once[Item, Result](
        self, task: Task[Item, Result], items: Iterable[Item], stop: Event
    ) -> Iterator[Tried[Item, Result]]:
        waiting = iter(items)
        with ThreadPoolExecutor(self._in_flight, thread_name_prefix="block") as pool:
            running: dict[Future[Result], Item] = {}
            try:
                while True:
                    while len(running) < self._in_flight:
                        try:
                            item = next(waiting)
                        except StopIteration:
                            break
                        running[pool.submit(task, item, stop)] = item
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        item = running.pop(future)
                        error = future.exception()
                        if error is not None and not isinstance(error, Exception):
                            raise error
                        yield item, error or future.result()
            except BaseException:
                stop.set()
                raise


def twice[Item, Result](
    once: Callable[[Iterable[Item]], Iterator[Tried[Item, Result]]], items: Iterable[Item]
) -> Iterator[Outcome[Item, Result]]:
    """Run items, and those that failed once more in the end.

    Args:
        once: Runs some items and yields each with its result or its error.
        items: The items.

    Raises:
        S2SMapError: One of `FATAL`.
    """
    failed: list[Item] = []
    for final in (False, True):
        todo: Iterable[Item] = list(failed) if final else items
        for item, result in once(todo):
            if isinstance(result, FATAL):
                raise result
            if isinstance(result, Exception):
                if not final:
                    failed.append(item)
                yield Outcome(item, error=result, final=final)
            else:
                yield Outcome(item, result)
        if not failed:
            return


def reason_of(error: BaseException) -> str:
    """Say in one line why an item failed."""
    text = redacted(" ".join(str(error).split()))
    return (
        text if isinstance(error, S2SMapError) else f"{type(error).__name__}: {text}".rstrip(": ")
    )
