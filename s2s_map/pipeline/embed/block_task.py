"""One block: read, encode, write its own shard, return a small record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any, Literal

import numpy as np

from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.encoding.satellite import embed_block
from s2s_map.imagery.stopping import ReadStoppedError, stoppable
from s2s_map.outputs.ledger import BlockRecord
from s2s_map.pipeline.embed.process_model import (
    WORKER,
    encoder_hardware,
    encoder_threads,
    held_model,
)
from s2s_map.pipeline.engine.executor import StoppedError
from s2s_map.pipeline.job.device import resolve_device
from s2s_map.pipeline.job.job import Job
from s2s_map.pipeline.job.patch_counts import count_patches, patches_of
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.needed import CountedBlock
from s2s_map.tiling.region import region_mask

Stage = Literal["read", "encode", "write", "record"]
STAGES: tuple[Stage, ...] = ("read", "encode", "write", "record")

type StageWatcher = Callable[[Stage, Block], None]
"""Called where a block is computed, as it enters a stage; it must pickle for a cluster."""


@dataclass(frozen=True, eq=False)
class EmbedTask:
    """Embeds blocks of a job, in this process or on a worker that it was sent to.

    It holds paths and settings; the model is the process's own, and files are opened where they
    are read.

    Attributes:
        job: The job.
        store: Where embeddings go.
        on_stage: Called when a block enters a stage.
        on_patches: Called with the number of patches as they are done; in this process only.
    """

    job: Job
    store: EmbeddingsStore
    on_stage: StageWatcher | None = None
    on_patches: Callable[[int], None] | None = None

    def prepare(self) -> None:
        """Load what the first block needs.

        Raises:
            ModelError: If the model or the device is not there.
        """
        held_model(self.job.config.model, self.job.config.device, self.job.precision)

    def __call__(self, block: Block, stop: Event) -> BlockRecord:
        """Embed a block and write it durably.

        Raises:
            StoppedError: If `stop` was set meanwhile; nothing is written after that.
            ImageryError: For imagery that cannot be read.
            ModelError: For a model that does not fit into the device's memory.
            OutputError: For a full disk and the like.
        """
        job = self.job
        began = time.monotonic()
        patchset = patches_of(job, block)
        inside = region_mask(job.region, job.grid, block)
        wanted = count_patches(job, CountedBlock(block, inside))
        told = 0

        def on_patches(count: int) -> None:
            nonlocal told
            if stop.is_set():
                raise StoppedError("the run has ended")
            told += count
            if self.on_patches is not None:
                self.on_patches(count)

        self._enter("read", block, stop)
        try:
            with stoppable(stop):
                image = job.source.read(patchset.read_bounds, patchset.read_shape, job.grid.crs)
        except ReadStoppedError:
            raise StoppedError("the run has ended") from None
        have_read = time.monotonic()
        held = held_model(job.config.model, job.config.device, job.precision)
        with held.turn:
            self._enter("encode", block, stop)
            turn = time.monotonic()
            embedded = embed_block(
                image,
                patchset,
                block,
                held.encoder,
                job.config.patches.level,
                job.config.batch_size,
                on_patches,
                job.metadata,
                inside,
            )
            have_encoded = time.monotonic()
        values = embedded.values
        self._enter("write", block, stop)
        checksum = self.store.write_block(block, values)
        data_tag, file_crc = self.store.e_tag(block), self.store.file_crc(block)
        have_written = time.monotonic()
        self._enter("record", block, stop)
        device = resolve_device(job.config.device)
        # Patches without imagery are not encoded, but the bar counts them.
        if self.on_patches is not None:
            self.on_patches(wanted - told)
        return BlockRecord(
            block=block.key,
            checksum=checksum,
            patches=embedded.patches,
            valid_cells=int(np.isfinite(values[0, ..., 0]).sum()),
            seconds=round(have_written - began, 4),
            batch_size=embedded.batch_size,
            device=device.partition(":")[0],
            threads=encoder_threads(),
            read_s=round(have_read - began, 4),
            encode_s=round(have_encoded - turn, 4),
            write_s=round(have_written - have_encoded, 4),
            worker=WORKER,
            holes=image.holes,
            hardware=encoder_hardware(device),
            data_tag=data_tag,
            file_crc=file_crc,
        )

    def _enter(self, stage: Stage, block: Block, stop: Event) -> None:
        if stop.is_set():
            raise StoppedError("the run has ended")
        if self.on_stage is not None:
            self.on_stage(stage, block)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "on_patches": None}
