"""Overviews of embeddings: what of them is not made from the blocks that are there now is made.

Levels that are written with the blocks are made here for blocks of older versions only. Each other
level is made from the one below, shard by shard. A shard is recorded with what it was made from, so
that one whose blocks were embedded again is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from threading import Event

import numpy as np

from s2s_map.embeddings.overview_arrays import LevelArrays, levels_of, write_with_block
from s2s_map.embeddings.overview_means import finest_cells, halved
from s2s_map.embeddings.overview_schema import overviews_group
from s2s_map.embeddings.overview_sealed import DamagedOverviewError, SealedLevel, shard_place
from s2s_map.embeddings.overview_state import (
    WantedShard,
    held_blocks,
    lacking_blocks,
    wanted_shards,
    with_blocks_seals,
)
from s2s_map.embeddings.overviews import CellReader, FinestReader
from s2s_map.embeddings.sealed import SealedEmbeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import InterruptedRunError
from s2s_map.outputs.ledger import Ledger
from s2s_map.outputs.overview_seals import (
    OverviewSeal,
    ShardSeals,
    checksums,
    read_seals,
    write_seals,
)
from s2s_map.pipeline.engine.executor import Executor, StoppedError, ThreadsExecutor
from s2s_map.reporter import Reporter
from s2s_map.tiling.blocks import Block

_TIMES = 3
"""How often damaged shards are made again: a disk that damages them each time is broken."""

_RECORD_EVERY_S = 1.0


@dataclass(frozen=True, eq=False)
class BlockOverviewsTask:
    """Makes the shards that are written with a block, from the block; pickles.

    Attributes:
        store: The embeddings.
    """

    store: SealedEmbeddings

    def __call__(self, block: Block, stop: Event) -> tuple[OverviewSeal, ...]:
        """Do it.

        Raises:
            DamagedBlocksError: For a block that is not what was recorded.
        """
        values = self.store.read_block(block)
        if stop.is_set():
            raise StoppedError
        return write_with_block(
            levels_of(self.store), block, [finest_cells(slot) for slot in values]
        )


@dataclass(frozen=True, eq=False)
class ShardTask:
    """Makes a shard of a level from the level below; pickles.

    Attributes:
        store: The embeddings.
        index: Of the level, among those of the store.
        below: Seals of the level below; None where that is the finest.
    """

    store: SealedEmbeddings
    index: int
    below: ShardSeals | None

    def __call__(self, shard: WantedShard, stop: Event) -> OverviewSeal:
        """Do it, a band of rows at a time.

        Raises:
            DamagedBlocksError, DamagedOverviewError: For what lies below and is not as recorded.
        """
        levels = levels_of(self.store)
        level, reader = levels[self.index], self._reader(levels)
        y, x = level.layout.window(shard.row, shard.col)
        ny, nx = self.store.grid.shape if self.index == 0 else levels[self.index - 1].layout.shape
        shape = (len(self.store.time_slots), y.stop - y.start, x.stop - x.start)
        vectors = np.empty((*shape, level.dim), dtype=level.dtype)
        counts = np.empty(shape, dtype=np.uint32)
        columns = slice(2 * x.start, min(2 * x.stop, nx))
        chunk = self.store.chunk_cells if self.index == 0 else levels[self.index - 1].chunk_cells
        # Whole chunks, since they are decoded as a whole.
        step = chunk if chunk % 2 else chunk // 2
        for slot in range(shape[0]):
            for top in range(y.start, y.stop, step):
                if stop.is_set():
                    raise StoppedError
                bottom = min(top + step, y.stop)
                below = reader.cells(slot, slice(2 * top, min(2 * bottom, ny)), columns)
                here = slice(top - y.start, bottom - y.start)
                vectors[slot, here], counts[slot, here] = halved(below, level.dtype)
        return level.write(shard.row, shard.col, vectors, counts, shard.of)

    def _reader(self, levels: Sequence[LevelArrays]) -> CellReader:
        if self.below is None:
            return FinestReader(self.store)
        return SealedLevel(self.store.path, levels[self.index - 1], self.below)


@dataclass
class OverviewCounts:
    """What there is of overviews.

    Attributes:
        levels: Levels above the embeddings.
        shards: Shards that hold data.
        made: Shards that were made now, and blocks whose share was.
    """

    levels: int = 0
    shards: int = 0
    made: int = 0


def build_overviews(
    store: EmbeddingsStore,
    ledger: Ledger,
    watch: Reporter,
    executor: Executor | None = None,
    guard: Callable[[], None] = lambda: None,
    bad: Sequence[DamagedOverviewError] = (),
) -> OverviewCounts:
    """Make whatever of the levels of a store is not made from the finished blocks.

    Args:
        store: The embeddings; without levels nothing is done.
        ledger: Their ledger; this process is its only writer.
        watch: Told of the progress, and of what was damaged.
        executor: Where shards are computed; threads of this process if None.
        guard: Called before a shard is recorded; raises if this process may write no longer.
        bad: What is known to be damaged, and is made again.

    Raises:
        InterruptedRunError: On Ctrl-C; finished shards are kept.
        DamagedBlocksError: For blocks of embeddings that are not what was recorded.
        DamagedOverviewError: For shards that are damaged again as soon as they are written.
        OutputError: For a full disk and the like.
    """
    building = _Building(store, ledger, watch, executor or ThreadsExecutor(), guard)
    for error in bad:
        building.forget(error)
    for _ in range(_TIMES):
        try:
            return building.build()
        except DamagedOverviewError as error:
            damaged = error
            building.forget(error)
    raise damaged


@dataclass
class _Building:
    store: EmbeddingsStore
    ledger: Ledger
    watch: Reporter
    executor: Executor
    guard: Callable[[], None]
    counts: OverviewCounts = field(default_factory=OverviewCounts)
    again: set[str] = field(default_factory=set)
    recorded: dict[int, dict[str, OverviewSeal]] = field(init=False)

    def __post_init__(self) -> None:
        self.levels = levels_of(self.store)
        self.recorded = read_seals(overviews_group(self.store)) if self.levels else {}

    def build(self) -> OverviewCounts:
        self._build_with_blocks()
        state = self.ledger.state()
        sealed = SealedEmbeddings.seal(self.store, state.seals)
        below: LevelArrays | None = None
        seals: ShardSeals | None = None
        held = held_blocks(state)
        self.counts.shards = 0
        for index, level in enumerate(self.levels):
            if level.layout.with_blocks:
                seals = with_blocks_seals(level.factor, state)
            else:
                wanted = list(wanted_shards(level, self.store.grid, below, held))
                seals = self._build_level(ShardTask(sealed, index, seals), level, wanted)
            below, held = level, checksums(seals, seals)
            self.counts.shards += len(held)
        self.counts.levels = len(self.levels)
        return self.counts

    def forget(self, error: DamagedOverviewError) -> None:
        """Have what is damaged made again."""
        self.watch.note(f"{error.found}; made again")
        level = next(one for one in self.levels if one.factor == error.factor)
        if level.layout.with_blocks:
            self.again |= error.reasons.keys()
        else:
            for key in error.reasons:
                self.recorded.get(error.factor, {}).pop(key, None)

    def _build_with_blocks(self) -> None:
        state = self.ledger.state()
        lacking = {record.block for record in lacking_blocks(self.levels, state)} | self.again
        blocks = [block for block in self.store.grid.iter_blocks() if block.key in lacking]
        task = BlockOverviewsTask(SealedEmbeddings.seal(self.store, state.seals))

        def keep(block: Block, seals: tuple[OverviewSeal, ...]) -> None:
            record = state.records[block.key]
            if record.overviews != seals:
                self.ledger.amend(replace(record, overviews=seals))

        self._each(task, blocks, keep)
        self.again.clear()

    def _build_level(
        self, task: ShardTask, level: LevelArrays, wanted: Sequence[WantedShard]
    ) -> ShardSeals:
        seals = self.recorded.setdefault(level.factor, {})
        keys = {shard.key for shard in wanted}
        for key in seals.keys() - keys:
            level.remove(*shard_place(key))
            del seals[key]
        todo = [s for s in wanted if s.key not in seals or seals[s.key].of != s.of]
        written = time.monotonic()

        def keep(shard: WantedShard, seal: OverviewSeal) -> None:
            nonlocal written
            seals[shard.key] = seal
            if time.monotonic() - written > _RECORD_EVERY_S:
                self._write()
                written = time.monotonic()

        try:
            self._each(task, todo, keep)
        finally:
            # Also of a run that is stopped: what is made needs not be made again.
            if todo:
                self._write()
        return seals

    def _write(self) -> None:
        self.guard()
        write_seals(overviews_group(self.store), self.recorded)

    def _each[Item, Result](
        self,
        task: Callable[[Item, Event], Result],
        items: Sequence[Item],
        keep: Callable[[Item, Result], None],
    ) -> None:
        """Run a task for all items; the first that failed for good fails it in the end."""
        if not items:
            return
        stop, failed = Event(), None
        self.watch.start("Overviews", len(items), "shards")
        try:
            for outcome in self.executor.run(task, items, stop):
                if outcome.result is not None:
                    keep(outcome.item, outcome.result)
                    self.counts.made += 1
                    self.watch.advance(1)
                elif outcome.final:
                    failed = failed or outcome.error
        except KeyboardInterrupt:
            raise InterruptedRunError(
                "stopped while the overviews were made",
                remedy="start the same command again to go on where it stopped",
            ) from None
        finally:
            stop.set()
            self.watch.finish()
        if failed is not None:
            raise failed
