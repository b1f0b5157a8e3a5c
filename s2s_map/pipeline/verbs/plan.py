"""What a run will take, before it starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from s2s_map.config.model import ModelCard
from s2s_map.config.text import duration
from s2s_map.embeddings.overview_layout import most_cells_of_levels
from s2s_map.imagery.requests import Requests
from s2s_map.pipeline.engine.cores import usable_cores
from s2s_map.pipeline.job.job import Job
from s2s_map.pipeline.job.patch_counts import count_patches, patches_of
from s2s_map.pipeline.maps.score_regions import scoring_bytes
from s2s_map.pipeline.verbs.expected_scenes import Scenes, expected_scenes
from s2s_map.pipeline.verbs.plan_warnings import plan_warnings, proposed_split
from s2s_map.rasters.quicklook import imagery_reads
from s2s_map.regions.extent import sample_points
from s2s_map.regions.region import OtherPart
from s2s_map.tiling.needed import needed_blocks
from s2s_map.tiling.projections import distance_error
from s2s_map.tiling.splitting import Piece, land_share

_RATES = {"mini": 100.0, "vit": 1.5}
"""Patches per second and CPU core by kind of image encoder; benchmarks/RESULTS.md has the runs."""

_BASE_BYTES = 1_300_000_000
"""Python, torch and the model in memory."""

_CACHES = 128_000_000 + 256 * 2**20
"""Chunks of imagery kept for the blocks beside, and GDAL's cache; no more than the imagery has."""

_NUMBER_BYTES = 16
"""Of an embedding's number: its sum, its mean, as it is stored, and that compressed."""

_ALLOCATED = 1.1
"""What the C library holds of it: freed memory does not go back at once."""

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
        overviews_bytes: Their means over 2 x 2, 4 x 4 ... cells, at most, before compression.
        maps_bytes: Probability and similarity, before compression.
        memory_bytes: Peak memory at most, of a process with threads.
        seconds: Time to embed on this machine's CPU, roughly.
        rate: Patches a second that the time assumes.
        distance_error: By what share a distance on the map may be off, at worst.
        licence: Of the imagery.
        attribution: Of the imagery, to print with every map.
        warnings: What to think about before starting.
        land_share: Share of the grid's cells that are in the region.
        scenes: What a search is expected to find; None where none is to be made.
        others: The parts of the place that are not mapped with it.
        split: Pieces to map instead, where distances are more than 3 % off or islands scattered.
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
    overviews_bytes: int
    maps_bytes: int
    memory_bytes: int
    seconds: float
    rate: float
    distance_error: float
    licence: str
    attribution: str
    warnings: tuple[str, ...]
    land_share: float = 1.0
    scenes: Scenes | None = None
    others: tuple[OtherPart, ...] = ()
    split: tuple[Piece, ...] = ()


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
    blocks = (counted.block for counted in needed)
    overview_cells = most_cells_of_levels(job.grid, blocks, job.config.overviews)
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
    polygon = job.region.polygon
    land = 1.0 if polygon is None else land_share(polygon, job.region.bounds)
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
        # A cell of them is a vector and a count.
        overviews_bytes=overview_cells * (dim * 2 + 4) * slots,
        maps_bytes=frame * queries * slots * 8,
        # Two blocks are in flight; maps are scored afterwards.
        memory_bytes=round(
            _ALLOCATED
            * (
                _BASE_BYTES
                + min(_CACHES, read)
                + max(
                    2 * (pixels * _PIXEL_BYTES + block_cells * dim * _NUMBER_BYTES * slots),
                    _QUICKLOOK_BYTES,
                    scoring_bytes(queries, frame),
                )
            )
        ),
        seconds=patches / rate,
        rate=rate,
        distance_error=error,
        licence=job.entry.licence,
        attribution=job.entry.attribution,
        warnings=(*plan_warnings(job, error, land), *(requests.warnings if requests else ())),
        land_share=land,
        scenes=expected_scenes(job, needed, read),
        others=job.outline.others,
        split=proposed_split(job, error, land),
    )


LONG_S = 600.0
"""From which on a run says how long it will take."""


def long_run(job: Job) -> str:
    """Say how much a job is, by its area, if it takes this machine's CPU long; else ""."""
    polygon = job.region.polygon
    west, south, east, north = job.region.bounds
    area = (east - west) * (north - south) if polygon is None else polygon.area
    patches = round(area / job.layout.stride_m**2)
    rate = encoding_rate(job.card)
    if patches / rate < LONG_S:
        return ""
    return (
        f"about {patches:,} patches to embed: about {duration(patches / rate)} on this machine's "
        f"CPU, at {rate:.0f} patches/s (reckoned, see s2s-map plan); a smaller region: or a larger "
        "patches: {stride_m: ...} takes less, and what is stopped goes on"
    )


def encoding_rate(card: ModelCard) -> float:
    """Return the patches a second that a model is reckoned to encode on this machine's CPU."""
    return _RATES.get(card.config.image.kind, 1.0) * usable_cores()
