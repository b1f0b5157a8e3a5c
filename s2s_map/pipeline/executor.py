"""Running one task per block, some at a time, and stopping cleanly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Protocol

from s2s_map.pipeline.ledger import BlockRecord
from s2s_map.tiling.blocks import Block

BlockTask = Callable[[Block], BlockRecord]


class Executor(Protocol):
    """Runs a task for every block."""

    def run[Item, Result](
        self, task: Callable[[Item], Result], blocks: Sequence[Item], stop: Event
    ) -> Iterator[Result]:
        """Yield the records of blocks as they finish.

        Whoever closes the iterator early, or lets an exception out of a task, has `stop` set,
        which running tasks watch; no task runs on when the iterator has ended.
        """


class ThreadsExecutor:
    """Threads of this process: while one block is encoded the next is read.

    Args:
        workers: Blocks in flight.
    """

    def __init__(self, workers: int = 2) -> None:
        self._workers = workers

    def run[Item, Result](
        self, task: Callable[[Item], Result], blocks: Sequence[Item], stop: Event
    ) -> Iterator[Result]:
        """Yield the records of blocks as they finish, see `Executor`."""
        waiting = iter(blocks)
        with ThreadPoolExecutor(self._workers, thread_name_prefix="block") as pool:
            running: set[Future[Result]] = set()
            try:
                while True:
                    while len(running) < self._workers:
                        block = next(waiting, None)
                        if block is None:
                            break
                        running.add(pool.submit(task, block))
                    if not running:
                        return
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            finally:
                stop.set()
