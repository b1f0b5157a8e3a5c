"""Deciding once what a run reads: the search of a source, the numbers of its scale."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from s2s_map.catalog.environment import check_environment
from s2s_map.config.scale import MatchScale, MeasuredScale, dumped
from s2s_map.errors import StoreError
from s2s_map.outputs import names
from s2s_map.outputs.atomic import replacing_file
from s2s_map.outputs.path import OutputPath
from s2s_map.pipeline.job.job import Job
from s2s_map.redaction import cleaned
from s2s_map.reporter import Reporter

_SCALE = "s2s_map:scale"


def freeze(
    job: Job,
    home: OutputPath | None,
    watch: Reporter | None = None,
    *,
    retry_holes: bool = False,
) -> Job:
    """Return the job with its source frozen, by the `search.json` kept with embeddings, if any.

    So a run that goes on, or is asked again later, uses the same scenes and the same scale,
    although the API or a server may have more by then.

    Args:
        job: The job.
        home: Where the embeddings lie; None: search and measure again.
        watch: Receives how far the search is.
        retry_holes: Ask again for the parts of a kept search that were not answered.

    Raises:
        CatalogError: For an environment variable the source needs.
        ConfigError: For `scale: match` and a model whose card does not say what it saw.
        ImageryError: If the search fails or finds nothing, or a sample cannot be read.
        StoreError: For a kept search that cannot be read.
    """
    check_environment(job.entry)
    if home is not None:
        job = thaw(job, home)
    if job.source.needs_freezing:
        outline = job.outline
        source = job.source.freeze(outline.extent.bounds, outline.lonlat, watch)
        job = replace(job, source=source)
    elif retry_holes and job.source.has_search_holes:
        job = replace(job, source=job.source.search_again(job.outline.lonlat))
    return measured(job)


def measured(job: Job) -> Job:
    """Return the job with the numbers of its source's scale, from a sample if they are missing.

    Raises:
        ConfigError: For `scale: match` and a model whose card does not say what it saw.
        ImageryError: If the sample cannot be read.
    """
    if not job.source.needs_measuring:
        return job
    sample = job.source.sample(job.outline.extent.bounds)
    return replace(job, source=job.source.measured(sample, job.card.seen))


def is_frozen(job: Job) -> bool:
    """Return whether nothing of what a job reads is still to be decided."""
    return not (job.source.needs_freezing or job.source.needs_measuring)


def thaw(job: Job, home: OutputPath) -> Job:
    """Return the job with its source as the search kept with embeddings left it, if there is one.

    Nothing is searched or measured: without a search of the same kind the source still needs
    freezing.

    Raises:
        StoreError: For a kept search that cannot be read.
    """
    if is_frozen(job):
        return job
    kept = _kept(home)
    if kept is None:
        return job
    if job.source.needs_freezing:
        source = job.source.thaw(kept, job.outline.extent.bounds)
        if source is None:
            return job
        job = replace(job, source=source)
    scale = _kept_scale(job, kept)
    return job if scale is None else replace(job, source=job.source.with_scale(scale))


def keep_search(job: Job, home: OutputPath) -> None:
    """Write what the source decided beside the store.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    record = job.source.frozen() or {}
    scale = job.source.scale
    if isinstance(scale, MeasuredScale) and scale.asked is not None:
        record = {**record, _SCALE: dumped(scale)}
    if not record:
        return
    with replacing_file(home / names.SEARCH) as partial:
        partial.write_text(json.dumps(cleaned(record), ensure_ascii=False) + "\n", "utf-8")


def _kept_scale(job: Job, kept: dict[str, Any]) -> MeasuredScale | None:
    """Return the scale of a kept search, if it was measured for the same question."""
    if not job.source.needs_measuring or _SCALE not in kept:
        return None
    try:
        scale = MeasuredScale.model_validate(kept[_SCALE])
    except ValidationError:
        return None
    seen, asked = job.card.seen, job.source.scale
    wanted = seen.sha256 if isinstance(asked, MatchScale) and seen is not None else ""
    return scale if scale.asked == asked and scale.reference == wanted else None


def _kept(home: OutputPath) -> dict[str, Any] | None:
    path = home / names.SEARCH
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise StoreError(
            f"{path} cannot be read ({error})", remedy="start from scratch with --overwrite"
        ) from None
    return record if isinstance(record, dict) else None
