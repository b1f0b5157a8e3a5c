"""The main job: from a config to maps."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from s2s_map.config.run import RunConfig, load_run_config
from s2s_map.embeddings.objects import OutputPath, output_path
from s2s_map.embeddings.schema import STORE_ID
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.encoding.queries import query_name
from s2s_map.encoding.vector_cache import vectors_folder
from s2s_map.errors import (
    ConfigError,
    FailedRunError,
    ImageryError,
    OutputMismatchError,
    StoreError,
)
from s2s_map.models.registry import load_model
from s2s_map.pipeline import folder as names
from s2s_map.pipeline.block_task import StageWatcher
from s2s_map.pipeline.cluster import open_executor
from s2s_map.pipeline.embedding import EmbeddingCounts, embed_missing
from s2s_map.pipeline.ending import noted_end
from s2s_map.pipeline.executor import Executor
from s2s_map.pipeline.freezing import freeze, keep_search
from s2s_map.pipeline.generations import finished_results, publish
from s2s_map.pipeline.holes import holes_of, say_holes
from s2s_map.pipeline.job import Job, resolve
from s2s_map.pipeline.late_data import check_not_replaced, drop_replaced
from s2s_map.pipeline.ledger import FINISHED, Ledger, LedgerState
from s2s_map.pipeline.making import makings_of
from s2s_map.pipeline.mapping import score_maps
from s2s_map.pipeline.opening import OpenRun, open_run
from s2s_map.pipeline.progress import Reporter
from s2s_map.pipeline.record import RunRecord, read_record
from s2s_map.pipeline.remarks import colour_remarks, unseen_note
from s2s_map.pipeline.retrying import check_mended, take_back
from s2s_map.pipeline.scoring import encode_questions
from s2s_map.pipeline.worker import lent_model, resolve_device
from s2s_map.pipeline.writing import write_quicklook, write_results


def run(
    config: RunConfig | str | Path,
    *,
    overwrite: bool = False,
    retry_holes: bool = False,
    catalogs: Sequence[str | Path] = (),
    reporter: Reporter | None = None,
    executor: Executor | None = None,
    on_stage: StageWatcher | None = None,
    performance_report: Path | None = None,
) -> OpenRun:
    """Map a region: embed what is not embedded yet, ask, write.

    A run that was interrupted goes on where it stopped; one that is complete asks its questions
    again without embedding. Layers that `query` added are kept.

    Args:
        config: A run config, or the path of one.
        overwrite: Remove what is in the output folder, such as the results of another config.
            A run that began so and was stopped goes on instead.
        retry_holes: Embed the blocks again whose imagery had holes, and keep the others. Files that
            were holes may have changed. Blocks that failed are always tried again.
        catalogs: Catalog files that come before the usual ones.
        reporter: Told of the progress.
        executor: Where blocks are computed; what the config's `cluster:` says if None.
        on_stage: Called where a block is computed, as it enters each stage.
        performance_report: HTML file for Dask's report of what a cluster did.

    Returns:
        The finished run, opened. Blocks that failed are missing from the maps and listed in
        `OpenRun.record.failed`; running again tries them again. Imagery that could not be read
        is no data in the maps and listed in `OpenRun.record.holes`.

    Raises:
        S2SMapError: For whatever cannot be used, before anything is computed where possible.
        InterruptedRunError: On Ctrl-C or SIGTERM; running again goes on.

    Examples:
        >>> finished = run("workflows/demo.yaml")  # doctest: +SKIP
        >>> finished.concepts  # doctest: +SKIP
        ['waves', 'traffic', 'forest', 'farm', 'owl']
    """
    if not isinstance(config, RunConfig):
        config = load_run_config(config)
    if overwrite and retry_holes:
        raise ConfigError(
            "overwrite and retry_holes", expected="one of them", remedy="see s2s-map run --help"
        )
    watch = reporter or Reporter()
    out = output_path(config.output)
    names.check_access(out, write=True)
    job = freeze(resolve(config, catalogs), again=overwrite)
    check = check_mended if retry_holes else names.check_folder
    if not overwrite:
        check(out, job.identity())
    record = RunRecord.of(job)
    record.remarks = colour_remarks(job, network=True)
    for remark in (*record.remarks, *unseen_note(job)):
        watch.note(f"imagery: {remark}")
    with _timed(record, "prepare"):
        model = load_model(config.model, resolve_device(config.device), job.precision)
        # Questions first: a bad recording should not be found after an hour of encoding.
        questions = encode_questions(
            model, job.card, config.queries, config.probability, vectors_folder()
        )
    with names.locked(out, watch.note) as lock:
        if overwrite and not _goes_on(job, out, watch):
            names.clear_folder(out)
        check(out, job.identity())
        keep_search(job)
        store = _open_store(job, out)
        with (
            names.open_ledger(out, lock.check) as ledger,
            _executor(job, ledger, executor, watch, performance_report) as where,
        ):
            drop_replaced(store, ledger, watch)
            before = take_back(job, store, ledger, watch) if retry_holes else {}
            with (
                _timed(record, "embed"),
                lent_model(config.model, config.device, job.precision, model),
            ):
                embedded = embed_missing(
                    job, store, ledger, watch, where, on_stage, anew=overwrite, before=before
                )
            how = "incomplete" if embedded.failed else "complete"
            with noted_end(ledger, lambda: how, lambda: "while its maps were made"):
                state = ledger.state()
                check_not_replaced(store, state.records)
                _count(record, state, embedded)
                with _timed(record, "score"):
                    building = score_maps(
                        out, store, questions, state.content, config.zarr_format, watch, where
                    )
                results = building.target.parent
                _say_outdated(record, out, watch)
                with _timed(record, "write"):
                    write_quicklook(job, results, watch)
                    write_results(out, building, questions, record, watch, where)
                record.write(results / names.RECORD)
                check_not_replaced(store, state.records)
                lock.check()
                publish(out, results)
    return open_run(out)


def _goes_on(job: Job, out: OutputPath, watch: Reporter) -> bool:
    """Whether a run that began by removing what was there was stopped, and this is the same."""
    if not EmbeddingsStore.exists(out / names.EMBEDDINGS):
        return False
    try:
        names.check_folder(out, job.identity())
        state = names.open_ledger(out).state()
    except (OutputMismatchError, StoreError):
        return False
    unfinished = state.run is not None and state.run.anew and state.ended not in FINISHED
    # Where all imagery was missing, starting anew is the remedy.
    useful = any(record.valid_cells for record in state.records.values())
    if unfinished and useful:
        watch.note(
            f"--overwrite began this run before: it goes on with {len(state.records)} blocks done; "
            f"remove {out} to start once more"
        )
    return unfinished and useful


def _open_store(job: Job, out: OutputPath) -> EmbeddingsStore:
    path = out / names.EMBEDDINGS
    if EmbeddingsStore.exists(path):
        return EmbeddingsStore.open(path)
    attributes = {
        STORE_ID: uuid.uuid4().hex,
        "identity": job.identity(),
        "attribution": job.entry.attribution,
        "licence": job.entry.licence,
        "model": {
            "name": job.card.name,
            "sha256": job.card.sha256,
            "precision": job.precision,
        },
        "metadata": None if job.metadata is None else job.metadata.describe(),
    }
    return EmbeddingsStore.create(path, job.grid, job.card.config.dim, job.time_slots, attributes)


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
                remedy="mend that and run again",
            )
        if record.holes:
            raise FailedRunError(
                f"no cell of the region has valid imagery: {say_holes(record.holes)}",
                remedy="mend that and run again with --retry-holes",
            )
        raise ImageryError(
            "no cell of the region has valid imagery",
            remedy="check the region and the source's nodata:",
        )


def _say_outdated(record: RunRecord, out: OutputPath, watch: Reporter) -> None:
    """Note layers that queries added to maps of other embeddings: they are kept as they were."""
    try:
        before = read_record(finished_results(out) / names.RECORD)
    except StoreError:
        return
    asked = {query_name(query) for query in record.config.queries}
    kept = [name for name in before.concepts if name not in asked]
    known = before.embeddings_sha256
    if kept and known and known != record.embeddings_sha256:
        watch.note(
            f"blocks were embedded since {', '.join(kept)} was asked: that is kept as it was; "
            f"ask it again with s2s-map query {out}"
        )


@contextmanager
def _executor(
    job: Job, ledger: Ledger, given: Executor | None, reporter: Reporter, report: Path | None
) -> Iterator[Executor]:
    if given is not None:
        yield given
        return
    name = str(job.output.resolve() if isinstance(job.output, Path) else job.output)
    before = ledger.state().run
    # What this output was begun on is no misspelt address.
    known = before is not None and before.cluster == job.config.cluster.use.partition("://")[0]
    with open_executor(job.config.cluster, name, reporter, report, known=known) as opened:
        yield opened


@contextmanager
def _timed(record: RunRecord, stage: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    record.timings[stage] = round(time.monotonic() - began, 3)
