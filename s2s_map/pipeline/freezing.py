"""Deciding once what a run reads: the search of an imagery source, kept beside the store."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from s2s_map.catalog.environment import check_environment
from s2s_map.embeddings.objects import OutputPath
from s2s_map.embeddings.replacing import replacing_file
from s2s_map.errors import StoreError
from s2s_map.pipeline import folder as names
from s2s_map.pipeline.job import Job
from s2s_map.redaction import cleaned


def freeze(job: Job, home: OutputPath | None) -> Job:
    """Return the job with its source frozen, from the search kept with embeddings if there is one.

    So a run that goes on, or is asked again later, uses the same scenes, although the API may
    have more by then.

    Args:
        job: The job.
        home: Where the embeddings lie; None: search anew.

    Raises:
        CatalogError: For an environment variable the source needs.
        ImageryError: If the search fails or finds nothing.
        StoreError: For a kept search that cannot be read.
    """
    check_environment(job.entry)
    if home is not None:
        job = thaw(job, home)
    if not job.source.needs_freezing:
        return job
    return replace(job, source=job.source.freeze(job.outline.extent.bounds))


def thaw(job: Job, home: OutputPath) -> Job:
    """Return the job with its source as the search kept with embeddings left it, if there is one.

    Nothing is searched: without a search of the same kind the source still needs freezing.

    Raises:
        StoreError: For a kept search that cannot be read.
    """
    if not job.source.needs_freezing:
        return job
    kept = _kept(home)
    source = None if kept is None else job.source.thaw(kept, job.outline.extent.bounds)
    return job if source is None else replace(job, source=source)


def keep_search(job: Job, home: OutputPath) -> None:
    """Write what the source decided beside the store.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    record = job.source.frozen()
    if record is None:
        return
    with replacing_file(home / names.SEARCH) as partial:
        partial.write_text(json.dumps(cleaned(record), ensure_ascii=False) + "\n", "utf-8")


def _kept(home: OutputPath) -> dict[str, Any] | None:
    path = home / names.SEARCH
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise StoreError(
            f"{path} cannot be read ({error})", remedy="start anew with --overwrite"
        ) from None
    return record if isinstance(record, dict) else None
