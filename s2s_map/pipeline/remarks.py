"""What is off with the colours of a job's imagery, before anything is mapped from it."""

from __future__ import annotations

from s2s_map.catalog.scene import Scene
from s2s_map.errors import S2SMapError
from s2s_map.imagery.judging import judge
from s2s_map.pipeline.job import Job


def colour_remarks(job: Job, *, network: bool = False) -> tuple[str, ...]:
    """Return a line for each thing that is off, from a small sample; it is no error ever.

    Args:
        job: The job.
        network: Look also where servers count requests, or a search is still to be made: web
            tiles and `stac`.
    """
    source = job.source
    # Files and cubes can be looked at by themselves.
    own = all(isinstance(part, Scene) for part in source.coverage) and bool(source.coverage)
    if source.needs_freezing or not (own or network):
        return ()
    try:
        sample = source.sample(job.outline.extent.bounds)
        scale = source.measured(sample, job.card.seen).scale
    except S2SMapError as error:
        return (f"the colours of the imagery could not be looked at: {error.found}",)
    said = [*source.remarks, *judge(sample, scale, job.card.seen)]
    if job.card.seen is None:
        said.append(
            f"the card of {job.card.name} does not say what imagery it saw: colours are not "
            "compared; see s2s-map models reference"
        )
    return tuple(said)
