"""The main job: from a config to maps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from s2s_map.config.run import RunConfig, load_run_config
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import ImageryError
from s2s_map.models.registry import load_model
from s2s_map.pipeline import folder as names
from s2s_map.pipeline.embedding import NO_TIME_SLOT, embed_missing
from s2s_map.pipeline.executor import Executor
from s2s_map.pipeline.job import Job, resolve
from s2s_map.pipeline.ledger import Ledger
from s2s_map.pipeline.mapping import score_maps
from s2s_map.pipeline.opening import OpenRun, open_run
from s2s_map.pipeline.progress import Reporter
from s2s_map.pipeline.record import RunRecord
from s2s_map.pipeline.scoring import encode_questions
from s2s_map.pipeline.writing import write_quicklook, write_results


def run(
    config: RunConfig | str | Path,
    *,
    overwrite: bool = False,
    catalogs: Sequence[str | Path] = (),
    reporter: Reporter | None = None,
    executor: Executor | None = None,
) -> OpenRun:
    """Map a region: embed what is not embedded yet, ask, write.

    A run that was interrupted goes on where it stopped; one that is complete asks its questions
    again without embedding. Layers that `query` added are kept.

    Args:
        config: A run config, or the path of one.
        overwrite: Remove the results of another config from the output folder.
        catalogs: Catalog files that come before the usual ones.
        reporter: Told of the progress.
        executor: Where blocks are computed; threads of this process if None.

    Returns:
        The finished run, opened.

    Raises:
        S2SMapError: For whatever cannot be used, before anything is computed where possible.
        InterruptedRunError: On Ctrl-C.

    Examples:
        >>> finished = run("workflows/demo.yaml")  # doctest: +SKIP
        >>> finished.concepts  # doctest: +SKIP
        ['waves', 'traffic', 'forest', 'farm', 'owl']
    """
    if not isinstance(config, RunConfig):
        config = load_run_config(config)
    watch = reporter or Reporter()
    job = resolve(config, catalogs)
    out = job.output
    if not overwrite:
        names.check_folder(out, job.identity())
    record = RunRecord.of(job)
    with _timed(record, "prepare"):
        model = load_model(config.model, _device(config.device))
        # Questions first: a bad recording should not be found after an hour of encoding.
        questions = encode_questions(model, job.card, config.queries, config.probability)
    with names.locked(out):
        if overwrite:
            names.clear_folder(out)
        names.check_folder(out, job.identity())
        store = _open_store(job, out)
        ledger = Ledger(out / names.LEDGER)
        with _timed(record, "embed"):
            embedded = embed_missing(job, store, ledger, model, watch, executor)
        _count(record, ledger, embedded_now=sum(r.patches for r in embedded))
        with _timed(record, "score"):
            building = score_maps(
                out, store, questions, ledger.content(), config.zarr_format, watch, executor
            )
        with _timed(record, "write"):
            write_quicklook(job, out)
            write_results(out, building, questions, record, watch, executor)
        record.write(out / names.RECORD)
    return open_run(out)


def _open_store(job: Job, out: Path) -> EmbeddingsStore:
    path = out / names.EMBEDDINGS
    if path.exists():
        return EmbeddingsStore.open(path)
    attributes = {
        "identity": job.identity(),
        "attribution": job.entry.attribution,
        "licence": job.entry.licence,
        "model": {"name": job.card.name, "sha256": job.card.sha256},
    }
    return EmbeddingsStore.create(path, job.grid, job.card.config.dim, [NO_TIME_SLOT], attributes)


def _count(record: RunRecord, ledger: Ledger, embedded_now: int) -> None:
    finished = ledger.records().values()
    record.counts = {
        "blocks": len(finished),
        "patches": sum(r.patches for r in finished),
        "patches_embedded_now": embedded_now,
        "valid_cells": sum(r.valid_cells for r in finished),
    }
    if record.counts["valid_cells"] == 0:
        raise ImageryError(
            "no cell of the region has valid imagery",
            remedy="check the region and the source's nodata:",
        )


def _device(name: str) -> str:
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _timed(record: RunRecord, stage: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    record.timings[stage] = round(time.monotonic() - began, 3)
