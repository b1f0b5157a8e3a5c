"""What a run will take, before it starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from s2s_map.config.model import ModelCard
from s2s_map.pipeline.block_task import patches_of
from s2s_map.pipeline.job import Job, usable_cores

_RATES = {"mini": 100.0, "vit": 1.5}
"""Patches per second and CPU core by kind of image encoder; benchmarks/RESULTS.md has the runs."""

_BASE_BYTES = 1_100_000_000
"""Python, torch and the model in memory."""

_PIXEL_BYTES = 3 + 1 + 24
"""Pixel, mask, and what resampling needs for a while."""


@dataclass(frozen=True)
class Plan:
    """What a run will take.

    Attributes:
        crs: CRS of the map.
        shape: Cells, rows and columns.
        cell_m: Side of a cell, metres.
        patch_m: Side of a patch, metres.
        stride_m: Distance of patches, metres.
        blocks: Blocks of the whole region.
        patches: Patches of the whole region, those in halos once per block.
        read_bytes: Uncompressed bytes of imagery to read.
        store_bytes: The embeddings store, before compression.
        maps_bytes: Probability and similarity, before compression.
        memory_bytes: Peak memory, roughly.
        seconds: Time to embed on this machine's CPU, roughly.
        rate: Patches a second that the time assumes.
    """

    crs: str
    shape: tuple[int, int]
    cell_m: int
    patch_m: float
    stride_m: float
    blocks: int
    patches: int
    read_bytes: int
    store_bytes: int
    maps_bytes: int
    memory_bytes: int
    seconds: float
    rate: float


def make_plan(job: Job) -> Plan:
    """Work out what a job will take; nothing is read but what `resolve` has read.

    Examples:
        >>> from s2s_map import load_run_config, resolve
        >>> make_plan(resolve(load_run_config("workflows/demo.yaml"))).patches
        10692
    """
    blocks = job.grid.blocks()
    sets = [patches_of(job, block) for block in blocks]
    patches = sum(patchset.count for patchset in sets)
    cells, dim = int(np.prod(job.grid.shape)), job.card.config.dim
    slots = len(job.time_slots)
    layers = len(job.config.queries) * slots
    read = sum(job.source.bytes_estimate(s.read_bounds, job.grid.crs) for s in sets)
    pixels = max(int(np.prod(s.read_shape)) for s in sets)
    block_cells = max(block.cells for block in blocks)
    rate = encoding_rate(job.card)
    return Plan(
        crs=str(job.grid.crs),
        shape=job.grid.shape,
        cell_m=job.grid.cell_m,
        patch_m=job.layout.patch_m,
        stride_m=job.layout.stride_m,
        blocks=len(blocks),
        patches=patches,
        read_bytes=read,
        store_bytes=cells * dim * 2 * slots,
        maps_bytes=cells * layers * 8,
        # Two blocks are in flight; layers are held whole, twice while they are written.
        memory_bytes=_BASE_BYTES
        + 2 * (pixels * _PIXEL_BYTES + block_cells * dim * 8 * slots)
        + 2 * cells * layers * 8,
        seconds=patches / rate,
        rate=rate,
    )


def encoding_rate(card: ModelCard) -> float:
    """Return the patches a second that a model is reckoned to encode on this machine's CPU."""
    return _RATES.get(card.config.image.kind, 1.0) * usable_cores()
