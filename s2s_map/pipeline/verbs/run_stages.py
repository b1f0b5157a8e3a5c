"""The stages of a run that holds its output: embed, score, and embed again what is damaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from s2s_map.config.model import Precision
from s2s_map.embeddings.sealed import DamagedBlocksError, SealedEmbeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import FailedRunError, ImageryError
from s2s_map.models.loaded import LoadedModel
from s2s_map.opening.unchanged import Snapshot, changed, changed_files
from s2s_map.outputs.block_provenance import makings_of
from s2s_map.outputs.holes import holes_of, say_holes
from s2s_map.outputs.ledger import BlockRecord, Ledger, LedgerState
from s2s_map.outputs.lock import OutputLock
from s2s_map.pipeline.embed.block_task import StageWatcher
from s2s_map.pipeline.embed.embed_blocks import EmbeddingCounts, embed_missing
from s2s_map.pipeline.embed.overviews import build_overviews
from s2s_map.pipeline.embed.overwritten_blocks import check_not_replaced
from s2s_map.pipeline.embed.process_model import lent_model
from s2s_map.pipeline.engine.executor import Executor
from s2s_map.pipeline.job.job import Job
from s2s_map.pipeline.job.run_record import RunRecord
from s2s_map.pipeline.maps.questions import Questions
from s2s_map.pipeline.maps.score_regions import Before, score_maps
from s2s_map.pipeline.verbs.compare_stores import TOLERANCE
from s2s_map.rasters.building import MapsBuilding
from s2s_map.rasters.formats import LayerFormats
from s2s_map.reporter import Reporter

_TIMES = 3
"""How often blocks are embedded again in one run: a disk that damages them again is broken."""


@dataclass
class Stages:
    """What a run works with once it holds its output.

    Attributes:
        job: The job.
        record: What ``run.json`` will say; it is filled in.
        model: The model, loaded.
        questions: What is asked.
        watch: Receives the progress.
        lock: The holding of the output.
        store: The embeddings.
        ledger: Their ledger.
        where: Where blocks and regions are computed.
        on_stage: Called where a block is computed, as it enters each stage.
        anew: Whether the run began by removing what was there.
        before: Blocks that are tried again, see `embed_missing`.
        kept: What is taken over from the finished results.
        embedded: What was embedded so far.
        imagery: What the imagery was like when the run began.
    """

    job: Job
    record: RunRecord
    model: LoadedModel
    questions: Questions
    watch: Reporter
    lock: OutputLock
    store: EmbeddingsStore
    ledger: Ledger
    where: Executor
    on_stage: StageWatcher | None
    anew: bool
    before: Mapping[str, BlockRecord]
    kept: Before
    embedded: EmbeddingCounts = field(default_factory=EmbeddingCounts)
    imagery: Snapshot = field(init=False)

    def __post_init__(self) -> None:
        self.imagery = self.job.source.snapshot()

    def ending(self) -> str:
        """Return how the run ends, if all goes well from here."""
        return "incomplete" if self.embedded.failed else "complete"

    def embed(self) -> None:
        """Embed the blocks that the ledger does not have, see `embed_missing`."""
        config = self.job.config
        with (
            self.record.timed("embed"),
            lent_model(config.model, config.device, self.job.precision, self.model),
        ):
            now = embed_missing(
                self.job,
                self.store,
                self.ledger,
                self.watch,
                self.where,
                self.on_stage,
                anew=self.anew,
                before=self.before,
            )
        self.embedded = self.embedded.and_then(now)

    def score_whole(self) -> MapsBuilding:
        """Score the embeddings and make their overviews; embed damaged blocks again and go on.

        Raises:
            DamagedBlocksError: For blocks that are damaged again as soon as they are written.
        """
        for _ in range(_TIMES):
            self.check_undisturbed()
            try:
                building = self._score()
                self._overviews()
                return building
            except DamagedBlocksError as error:
                damaged = error
                self._forget(error)
                self.embed()
        raise damaged

    def check_undisturbed(self) -> None:
        """Check that output and imagery are what they were when the run began.

        Blocks are forgotten that may be of other imagery: where size and time of a file are the
        same and what is in it is not, and where they are not looked at read by read.

        Raises:
            OutputError: If the output was taken, renamed or removed.
            ImageryChangedError: For the first file that is another now.
        """
        self.lock.check()
        found = changed_files(self.imagery, self.job.source.snapshot())
        if not all(found.values()):
            self.ledger.drop(self.embedded.keys)
        if found:
            raise changed(min(found))

    def _score(self) -> MapsBuilding:
        state = self.ledger.state()
        check_not_replaced(self.store, state.records)
        _count(self.record, state, self.embedded)
        _say_makings(self.record, self.job.precision, self.watch)
        sealed = SealedEmbeddings.seal(self.store, state.seals)
        with self.record.timed("score"):
            return score_maps(
                self.job.output,
                sealed,
                self.questions,
                state.content,
                self.job.config.zarr_format,
                self.watch,
                self.where,
                self.kept,
                LayerFormats(self.job.config.formats),
            )

    def _overviews(self) -> None:
        with self.record.timed("overviews"):
            found = build_overviews(
                self.store, self.ledger, self.watch, self.where, self.lock.check
            )
        shards = {"overview_levels": found.levels, "overview_shards": found.shards}
        self.record.counts |= shards

    def _forget(self, error: DamagedBlocksError) -> None:
        first, many = min(error.reasons), len(error.reasons)
        self.watch.note(
            f"{many:,} block{'s' * (many != 1)} damaged, embedded again: {first}"
            f"{' and others' * (many > 1)}, as {error.reasons[first]}"
        )
        self.ledger.drop(error.reasons)


def _count(record: RunRecord, state: LedgerState, now: EmbeddingCounts) -> None:
    finished = state.records.values()
    record.counts = {
        "blocks": len(finished),
        "blocks_failed": len(now.failed),
        "patches": sum(r.patches for r in finished),
        "patches_embedded_now": now.patches,
        "valid_cells": sum(r.valid_cells for r in finished),
    }
    record.failed = dict(now.failed)
    record.holes = holes_of(finished)
    record.made_with = makings_of(finished)
    record.embeddings_sha256 = state.digest
    if now.blocks:
        record.timings["encoder_idle_share"] = round(now.encoder_idle, 3)
    if record.counts["valid_cells"] == 0:
        if now.failed:
            raise FailedRunError(
                f"no block could be embedded: {next(iter(now.failed.values()))}",
                remedy="fix that and run again",
            )
        if record.holes:
            raise FailedRunError(
                f"no cell of the region has valid imagery: {say_holes(record.holes)}",
                remedy="fix that and run again with --retry-holes",
            )
        raise ImageryError(
            "no cell of the region has valid imagery",
            remedy="check the region and the source's nodata:",
        )


def _say_makings(record: RunRecord, precision: Precision, watch: Reporter) -> None:
    """Note blocks that were made in several ways, as by a run resumed on another machine."""
    if len(record.made_with) > 1:
        ways = "; ".join(map(str, record.made_with))
        watch.note(
            f"blocks were made in {len(record.made_with)} ways, whose embeddings agree within "
            f"{TOLERANCE[precision]:g}, not to the byte: {ways}"
        )
