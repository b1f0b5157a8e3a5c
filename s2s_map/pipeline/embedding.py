"""Embedding the blocks of a job that are not in the ledger yet."""

from __future__ import annotations

import time
from threading import Event, Lock

import numpy as np

from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.encoding.satellite import PatchEncoder, embed_block
from s2s_map.errors import InterruptedRunError
from s2s_map.pipeline.executor import Executor, ThreadsExecutor
from s2s_map.pipeline.job import Job
from s2s_map.pipeline.ledger import BlockRecord, Ledger, missing_blocks
from s2s_map.pipeline.progress import Reporter
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.patches import PatchSet
from s2s_map.tiling.region import region_mask

NO_TIME_SLOT = "any"
"""Label of the one time slot of a model without month and hour."""


class _StoppedError(Exception):
    """Unwinds a block that is no longer wanted."""


def patches_of(job: Job, block: Block) -> PatchSet:
    """Return the patches that a block of a job needs."""
    return job.layout.patches_for(block.bounds, job.config.patches.level)


def embed_missing(
    job: Job,
    store: EmbeddingsStore,
    ledger: Ledger,
    encoder: PatchEncoder,
    reporter: Reporter,
    executor: Executor | None = None,
) -> list[BlockRecord]:
    """Embed every block that the ledger does not have, and record it.

    Returns:
        The records of the blocks embedded now.

    Raises:
        InterruptedRunError: On Ctrl-C; finished blocks are kept.
        ImageryError: For imagery that cannot be read.
        OutputError: For a full disk and the like.
    """
    blocks = job.grid.blocks()
    todo = missing_blocks(blocks, ledger.records())
    counts = {block.key: patches_of(job, block).count for block in blocks}
    total = sum(counts.values())
    reporter.start("Embedding", total, "patches", total - sum(counts[b.key] for b in todo))
    task = _BlockTask(job, store, ledger, encoder, reporter)
    try:
        return list((executor or ThreadsExecutor()).run(task, todo, task.stop))
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"stopped with {len(ledger.records())} of {len(blocks)} blocks done",
            remedy="start the same run again to go on where it stopped",
        ) from None
    finally:
        reporter.finish()


class _BlockTask:
    """Read, encode, write, record: one block."""

    def __init__(
        self,
        job: Job,
        store: EmbeddingsStore,
        ledger: Ledger,
        encoder: PatchEncoder,
        reporter: Reporter,
    ) -> None:
        self._job, self._store, self._ledger = job, store, ledger
        self._encoder, self._reporter = encoder, reporter
        self._encoding = Lock()  # One block at a time on the device; others read meanwhile.
        self.stop = Event()

    def __call__(self, block: Block) -> BlockRecord:
        job = self._job
        began = time.monotonic()
        patchset = patches_of(job, block)
        image = job.source.read(patchset.read_bounds, patchset.read_shape, job.grid.crs)
        told = 0
        with self._encoding:

            def on_patches(count: int) -> None:
                nonlocal told
                if self.stop.is_set():
                    raise _StoppedError
                told += count
                self._reporter.advance(count)

            on_patches(0)
            embedded = embed_block(
                image,
                patchset,
                block,
                self._encoder,
                job.config.patches.level,
                job.config.batch_size,
                on_patches,
            )
        values = embedded.values
        values[~region_mask(job.region, job.grid, block)] = np.nan
        checksum = self._store.write_block(block, values[None])
        record = BlockRecord(
            block=block.key,
            checksum=checksum,
            patches=embedded.patches,
            valid_cells=int(np.isfinite(values[..., 0]).sum()),
            seconds=round(time.monotonic() - began, 3),
            batch_size=embedded.batch_size,
            holes=image.holes,
        )
        self._ledger.record(record)
        # Patches without imagery are not encoded, but the bar counts them.
        self._reporter.advance(patchset.count - told)
        return record
