"""Which patches the blocks of a job need, and how many."""

from __future__ import annotations

from s2s_map.pipeline.job.job import Job
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.needed import CountedBlock
from s2s_map.tiling.patches import PatchSet
from s2s_map.tiling.wanted import wanted_patches


def patches_of(job: Job, block: Block) -> PatchSet:
    """Return the patches that a block of a job needs."""
    return job.layout.patches_for(block.bounds, job.config.patches.level)


def count_patches(job: Job, counted: CountedBlock) -> int:
    """Return how many patches a block of a job encodes: those that touch a cell in the region."""
    patchset = patches_of(job, counted.block)
    if counted.inside is None:
        return patchset.count
    level = job.config.patches.level
    return int(wanted_patches(patchset, counted.block, counted.inside, level).sum())
