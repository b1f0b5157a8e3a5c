"""What is off with the colours of a job's imagery, before anything is mapped from it."""

from __future__ import annotations

from itertools import islice

import numpy as np

from s2s_map.catalog.scene import Scene
from s2s_map.errors import S2SMapError
from s2s_map.imagery.judging import judge
from s2s_map.imagery.sample import Sample, thinned
from s2s_map.imagery.sources.xyz.source import XyzSource
from s2s_map.pipeline.job.job import Job
from s2s_map.pipeline.job.patch_counts import patches_of
from s2s_map.tiling.needed import needed_blocks

# Of web tiles: the first of how many blocks, every how many of them, and the square read of each.
_AMONG, _EVERY, _SQUARE_PX = 64, 16, 128


def colour_remarks(job: Job, *, network: bool = False) -> tuple[str, ...]:
    """Return a line for each thing that is off, from a small sample; it is never an error.

    Args:
        job: The job.
        network: Look also at web tiles and the scenes of a search, which `run` reads anyway.
    """
    source = job.source
    # Files and cubes can be looked at by themselves.
    own = bool(source.coverage) and all(isinstance(part, Scene) for part in source.coverage)
    if source.needs_freezing or not (own or network):
        return source.remarks
    try:
        if isinstance(source, XyzSource):
            sample = _within_blocks(job)
        else:
            sample = source.sample(job.outline.extent.bounds)
        scale = source.measured(sample, job.card.seen).scale
    except S2SMapError as error:
        return (f"its colours could not be looked at: {error.found}",)
    return (*source.remarks, *judge(sample, scale, job.card.seen))


def unseen_note(job: Job) -> tuple[str, ...]:
    """Return a line for a model whose card does not say what it saw; none for others."""
    if job.card.seen is not None:
        return ()
    return (
        f"the card of {job.card.name} does not say what imagery it saw, so colours are not "
        "compared with it: see s2s-map models reference --help",
    )


def _within_blocks(job: Job) -> Sample:
    """Return squares in the middle of blocks: nothing is asked of a server that the run doesn't."""
    found = [np.zeros((3, 0), np.float32)]
    blocks = needed_blocks(job.grid, job.region).counted()
    for counted in islice(blocks, 0, _AMONG, _EVERY):
        patches = patches_of(job, counted.block)
        west, _, _, north = patches.read_bounds
        rows, cols = patches.read_shape
        pixel = (patches.read_bounds[2] - west) / cols
        high, wide = min(_SQUARE_PX, rows), min(_SQUARE_PX, cols)
        left, top = west + (cols - wide) // 2 * pixel, north - (rows - high) // 2 * pixel
        bounds = (left, top - high * pixel, left + wide * pixel, top)
        block = job.source.read(bounds, (high, wide), job.grid.crs)
        found.append(block.pixels[:, block.valid].astype(np.float32))
    return Sample(thinned(np.concatenate(found, axis=1)))
