"""Repairing the metadata of embeddings, which follow from the job that made them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from s2s_map.embeddings.schema import DamagedMetadataError
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import StoreError
from s2s_map.outputs import names
from s2s_map.outputs.ledger import RunStart
from s2s_map.outputs.path import OutputPath
from s2s_map.outputs.zarr_files import STORE_ID
from s2s_map.pipeline.job.job import Job
from s2s_map.pipeline.job.output_folder import check_store_id, open_ledger
from s2s_map.reporter import Reporter


def identity_digest(job: Job) -> str:
    """Return the SHA-256 of what decides the embeddings of a job."""
    return hashlib.sha256(json.dumps(job.identity(), sort_keys=True).encode()).hexdigest()


def store_attributes(job: Job, store_id: str) -> dict[str, Any]:
    """Return what the store of a job says of its making."""
    return {
        STORE_ID: store_id,
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


def is_mendable(job: Job, home: OutputPath) -> bool:
    """Return whether embeddings lack but their metadata, as its ledger has it."""
    return _start_of(job, home) is not None


def mend_metadata(job: Job, home: OutputPath, watch: Reporter) -> None:
    """Write damaged metadata of embeddings again, if the ledger says that they are this job's.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    path = home / names.EMBEDDINGS
    if not path.is_dir():
        return
    start, sound = _start_of(job, home), False
    with suppress(StoreError):
        check_store_id(home)
        sound = not EmbeddingsStore.open(path).damaged_files()
    if sound or start is None:
        return
    watch.note(f"the metadata of {path} are damaged and are written again")
    attributes = store_attributes(job, start.store)
    dim = job.card.config.dim
    EmbeddingsStore.restore(path, job.grid, dim, job.time_slots, attributes)


def _start_of(job: Job, home: OutputPath) -> RunStart | None:
    start = open_ledger(home, any_store=True).state().run
    known = start is not None and start.store and start.identity == identity_digest(job)
    return start if known else None


def mended_check(check: Callable[[], None], job: Job, home: OutputPath) -> None:
    """Check an output before it is locked: metadata that will be repaired are not an objection."""
    try:
        check()
    except DamagedMetadataError as error:
        if not is_mendable(job, home):
            raise DamagedMetadataError(
                error.found, remedy="start from scratch with --overwrite, which embeds all of it"
            ) from None
