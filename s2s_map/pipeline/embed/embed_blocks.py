"""Embedding the blocks of a job that are not in the ledger yet."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import Event
from types import MappingProxyType

from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import FailedRunError, StoreError
from s2s_map.outputs.ledger import (
    EMBEDDED,
    BlockFailure,
    BlockRecord,
    Ledger,
    RunStart,
    idle_share,
    missing_blocks,
)
from s2s_map.pipeline.embed.block_task import EmbedTask, StageWatcher
from s2s_map.pipeline.embed.record_end import noted_end
from s2s_map.pipeline.embed.repair_metadata import identity_digest
from s2s_map.pipeline.engine.executor import Executor, Outcome, ThreadsExecutor, reason_of
from s2s_map.pipeline.job.job import Job
from s2s_map.pipeline.job.patch_counts import count_patches
from s2s_map.reporter import Reporter
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.needed import CountedBlock, needed_blocks
from s2s_map.tiling.region import region_mask

_HOPELESS = 20
"""So many blocks failing before one succeeds, in this run or before, means that none will."""


@dataclass
class EmbeddingCounts:
    """What embedding did.

    Attributes:
        blocks: Blocks embedded now.
        patches: Patches encoded now.
        encode_s: Time on the devices, all workers together, seconds.
        seconds: Time from the first block to the last, seconds.
        workers: Names of the processes that encoded.
        failed: Blocks without embeddings, with the reason.
        kept: Blocks that failed when they were tried again, and are as they were.
        keys: Which blocks were embedded now.
    """

    blocks: int = 0
    patches: int = 0
    encode_s: float = 0.0
    seconds: float = 0.0
    workers: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    kept: int = 0
    keys: set[str] = field(default_factory=set)

    def and_then(self, later: EmbeddingCounts) -> EmbeddingCounts:
        """Return what this and a later embedding of the same job did."""
        return EmbeddingCounts(
            self.blocks + later.blocks,
            self.patches + later.patches,
            self.encode_s + later.encode_s,
            self.seconds + later.seconds,
            self.workers | later.workers,
            later.failed,  # It tried again what had failed before.
            self.kept + later.kept,
            self.keys | later.keys,
        )

    @property
    def encoder_idle(self) -> float:
        """Share of the time in which an encoder had nothing to do, 0 to 1, mean of workers."""
        return idle_share(self.encode_s, self.seconds, len(self.workers)) or 0.0


def embed_missing(
    job: Job,
    store: EmbeddingsStore,
    ledger: Ledger,
    reporter: Reporter,
    executor: Executor | None = None,
    on_stage: StageWatcher | None = None,
    *,
    anew: bool = False,
    before: Mapping[str, BlockRecord] = MappingProxyType({}),
) -> EmbeddingCounts:
    """Embed every block that the ledger does not have, and record it.

    A block that fails is recorded with the reason, tried again when the others are through, and
    then left out. In the end the ledger says "embedded": the run goes on with the maps.

    Args:
        job: The job.
        store: Where embeddings go.
        ledger: Where blocks are recorded; this process is its only writer.
        reporter: Receives the progress.
        executor: Where blocks are computed; threads of this process if None.
        on_stage: Called where a block is computed, as it enters each stage.
        anew: Whether the run began by removing what was there.
        before: Blocks that are tried again: where one fails, what is there counts as before.

    Raises:
        InterruptedRunError: On Ctrl-C or SIGTERM; finished blocks are kept.
        FailedRunError: If the first blocks all fail and none is done.
        ModelError: For a model that cannot be used where blocks are computed.
        ClusterError: For a cluster that is lost.
        OutputError: For a full disk and the like.
    """
    executor = executor or ThreadsExecutor()
    needed = needed_blocks(job.grid, job.region)
    done = ledger.state().records
    blocks = total = left = todo = 0
    for counted in needed.counted():
        count = count_patches(job, counted)
        blocks, total = blocks + 1, total + count
        if counted.block.key not in done:
            todo, left = todo + 1, left + count
    identity = identity_digest(job)
    ledger.start(RunStart(blocks, total, left, executor.kind, anew=anew, identity=identity))
    reporter.start("Embedding", total, "patches", total - left)
    # Where tasks run here, patches are counted as they are done, elsewhere with their block.
    advance = reporter.advance if executor.local else None
    task = EmbedTask(job, store, on_stage=on_stage, on_patches=advance)
    counts = EmbeddingCounts()
    began, stop = time.monotonic(), Event()

    def far() -> str:
        return f"with {len(done) + counts.blocks} of {blocks} blocks done"

    with noted_end(ledger, lambda: EMBEDDED, far):
        try:
            for outcome in executor.run(task, missing_blocks(needed, done), stop):
                if not _keep(outcome, before, store, ledger, counts, reporter):
                    _note(outcome, ledger, counts, reporter)
                if not done and not counts.blocks and len(counts.failed) >= _HOPELESS:
                    raise FailedRunError(
                        f"the first {len(counts.failed)} blocks all failed, the last with: "
                        f"{counts.failed[outcome.item.key]}",
                        remedy="fix that and run again",
                    )
                counts.seconds = time.monotonic() - began
                if outcome.result is not None and advance is None:
                    inside = region_mask(job.region, job.grid, outcome.item)
                    reporter.advance(count_patches(job, CountedBlock(outcome.item, inside)))
        finally:
            stop.set()
            reporter.finish()
        lost = todo - counts.blocks - len(counts.failed) - counts.kept
        if lost:
            raise FailedRunError(
                f"{lost} blocks got lost",
                remedy="run again, and report this",
            )
    return counts


def _keep(
    outcome: Outcome[Block, BlockRecord],
    before: Mapping[str, BlockRecord],
    store: EmbeddingsStore,
    ledger: Ledger,
    counts: EmbeddingCounts,
    reporter: Reporter,
) -> bool:
    """Note what a block was before, if it failed now and its data is still there."""
    key, error = outcome.item.key, outcome.error
    if error is None or not outcome.final or key not in before:
        return False
    try:
        whole = store.checksum(outcome.item) == before[key].checksum
    except StoreError:
        whole = False
    if whole:
        ledger.record(before[key])
        counts.kept += 1
        counts.failed.pop(key, None)
        reporter.note(f"block {key} stays as it was, with its holes: {reason_of(error)}")
    return whole


def _note(
    outcome: Outcome[Block, BlockRecord],
    ledger: Ledger,
    counts: EmbeddingCounts,
    reporter: Reporter,
) -> None:
    record, key = outcome.result, outcome.item.key
    if record is not None:
        # A worker may not know which values are secret; holes made here lose them.
        ledger.record(replace(record, holes=tuple(replace(hole) for hole in record.holes)))
        counts.blocks += 1
        counts.keys.add(key)
        counts.patches += record.patches
        counts.encode_s += record.encode_s
        counts.workers.add(record.worker)
        counts.failed.pop(key, None)
        numbers = {"patches": record.patches, "valid_cells": record.valid_cells}
        reporter.block_done(key, {**numbers, "holes": len(record.holes)}, record.seconds)
        return
    reason = reason_of(outcome.error or Exception("unknown"))
    ledger.fail(BlockFailure(key, reason, outcome.final))
    counts.failed[key] = reason
    reporter.block_failed(key, reason, outcome.final)
