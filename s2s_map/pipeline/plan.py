"""What a run will take, before it starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from s2s_map.catalog.extent import sample_points
from s2s_map.config.model import ModelCard
from s2s_map.imagery.requests import Requests
from s2s_map.pipeline.block_task import count_patches, patches_of
from s2s_map.pipeline.job import Job, usable_cores
from s2s_map.pipeline.mapping import scoring_bytes
from s2s_map.pipeline.plan_warnings import plan_warnings, proposed_split
from s2s_map.rasters.quicklook import imagery_reads
from s2s_map.tiling.needed import needed_blocks
from s2s_map.tiling.projections import distance_error
from s2s_map.tiling.splitting import SplitBox

_RATES = {"mini": 100.0, "vit": 1.5}
"""Patches per second and CPU core by kind of image encoder; benchmarks/RESULTS.md has the runs."""

_BASE_BYTES = 1_300_000_000
"""Python, torch and the model in memory, and chunks of imagery kept for the blocks beside."""

_PIXEL_BYTES = 3 + 1 + 24
"""Pixel, mask, and what resampling needs for a while."""

_QUICKLOOK_BYTES = 2048**2 * (12 + 16 + 12)
"""A part of the imagery as it is stored, as floats, and with the weights of its pixels."""

_SAMPLED = 200


@dataclass(frozen=True)
class Plan:
    """What a run will take.

    Attributes:
        crs: CRS of the map.
        shape: Cells, rows and columns.
        cell_m: Side of a cell, metres.
        patch_m: Side of a patch, metres.
        stride_m: Distance of patches, metres.
        blocks: Blocks with at least one cell in the region.
        cells: Cells in the region.
        patches: Patches of these blocks that touch a cell in the region, those in halos once per
            block.
        read_bytes: Uncompressed bytes of imagery to read.
        requests: Web tiles to fetch, and how many a day may be; None for other imagery.
        store_bytes: The embeddings of all time slots, before compression.
        maps_bytes: Probability and similarity, before compression.
        memory_bytes: Peak memory, roughly.
        seconds: Time to embed on this machine's CPU, roughly.
        rate: Patches a second that the time assumes.
        distance_error: By what share a distance on the map may be off, at worst.
        licence: Of the imagery.
        attribution: Of the imagery, to print with every map.
        warnings: What to think about before starting.
        split: Boxes to map instead, where distances are more than 3 % off.
    """

    crs: str
    shape: tuple[int, int]
    cell_m: int
    patch_m: float
    stride_m: float
    blocks: int
    cells: int
    patches: int
    read_bytes: int
    requests: Requests | None
    store_bytes: int
    maps_bytes: int
    memory_bytes: int
    seconds: float
    rate: float
    distance_error: float
    licence: str
    attribution: str
    warnings: tuple[str, ...]
    split: tuple[SplitBox, ...] = ()


def make_plan(job: Job) -> Plan:
    """Work out what a job will take; nothing is read but what `resolve` has read.

    Examples:
        >>> from s2s_map import load_run_config, resolve
        >>> make_plan(resolve(load_run_config("workflows/demo.yaml"))).patches
        10692
    """
    needed = list(needed_blocks(job.grid, job.region).counted())
    sets = [patches_of(job, counted.block) for counted in needed]
    patches = sum(count_patches(job, counted) for counted in needed)
    cells, dim = sum(counted.cells for counted in needed), job.card.config.dim
    frame = int(np.prod(job.grid.shape))
    slots = len(job.time_slots)
    queries = len(job.config.queries)
    # Of a large region some hundred blocks stand for all.
    some = sets[:: max(1, len(sets) // _SAMPLED)]
    read = sum(job.source.bytes_estimate(s.read_bounds, job.grid.crs) for s in some)
    # A block is read whole, also where few of its patches are encoded.
    read = round(read * sum(s.count for s in sets) / sum(s.count for s in some))
    requests = job.source.requests(
        [*((s.read_bounds, s.read_shape) for s in sets), *imagery_reads(job.grid, job.region)],
        job.grid.crs,
    )
    pixels = max(int(np.prod(s.read_shape)) for s in sets)
    block_cells = max(counted.block.cells for counted in needed)
    error = distance_error(job.grid.crs, sample_points(job.outline.lonlat))
    rate = encoding_rate(job.card)
    return Plan(
        crs=str(job.grid.crs),
        shape=job.grid.shape,
        cell_m=job.grid.cell_m,
        patch_m=job.layout.patch_m,
        stride_m=job.layout.stride_m,
        blocks=len(needed),
        cells=cells,
        patches=patches,
        read_bytes=read,
        requests=requests,
        store_bytes=cells * dim * 2 * slots,
        maps_bytes=frame * queries * slots * 8,
        # Two blocks are in flight; maps are scored afterwards.
        memory_bytes=_BASE_BYTES
        + max(
            2 * (pixels * _PIXEL_BYTES + block_cells * dim * 8 * slots),
            _QUICKLOOK_BYTES,
            scoring_bytes(queries, frame),
        ),
        seconds=patches / rate,
        rate=rate,
        distance_error=error,
        licence=job.entry.licence,
        attribution=job.entry.attribution,
        warnings=(*plan_warnings(job, error), *(requests.warnings if requests else ())),
        split=proposed_split(job, error),
    )


def encoding_rate(card: ModelCard) -> float:
    """Return the patches a second that a model is reckoned to encode on this machine's CPU."""
    return _RATES.get(card.config.image.kind, 1.0) * usable_cores()
