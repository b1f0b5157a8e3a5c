"""What a run will take, before it starts."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

import numpy as np
from pyproj import Proj

from s2s_map.catalog.extent import sample_points
from s2s_map.config.model import ModelCard
from s2s_map.embeddings.objects import ObjectPath
from s2s_map.imagery.requests import Requests
from s2s_map.pipeline.block_task import count_patches, patches_of
from s2s_map.pipeline.job import Job, usable_cores
from s2s_map.tiling.needed import needed_blocks
from s2s_map.tiling.projections import distance_error

_RATES = {"mini": 100.0, "vit": 1.5}
"""Patches per second and CPU core by kind of image encoder; benchmarks/RESULTS.md has the runs."""

_BASE_BYTES = 1_300_000_000
"""Python, torch and the model in memory, and chunks of imagery kept for the blocks beside."""

_PIXEL_BYTES = 3 + 1 + 24
"""Pixel, mask, and what resampling needs for a while."""

_SAMPLED = 200
_LAYERS_AT_WORK = 2
_FAR, _AREA = 0.03, 0.01


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
    layers = len(job.config.queries) * slots
    # Of a large region some hundred blocks stand for all.
    some = sets[:: max(1, len(sets) // _SAMPLED)]
    read = sum(job.source.bytes_estimate(s.read_bounds, job.grid.crs) for s in some)
    # A block is read whole, also where few of its patches are encoded.
    read = round(read * sum(s.count for s in sets) / sum(s.count for s in some))
    requests = job.source.requests([s.read_bounds for s in sets], job.grid.crs)
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
        maps_bytes=frame * layers * 8,
        # Two blocks are in flight; layers are held whole, twice while they are written.
        memory_bytes=_BASE_BYTES
        + 2 * (pixels * _PIXEL_BYTES + block_cells * dim * 8 * slots)
        + 2 * frame * layers * 8,
        seconds=patches / rate,
        rate=rate,
        distance_error=error,
        licence=job.entry.licence,
        attribution=job.entry.attribution,
        warnings=(*_warnings(job, error), *_fetching(requests)),
    )


def _warnings(job: Job, error: float) -> tuple[str, ...]:
    said = [job.outline.note] if job.outline.note else []
    if error > _FAR:
        said.append(
            f"distances on the map are up to {error:.1%} off (areas are true): split the region, "
            "by first-level units or boxes, for less"
        )
    factors = Proj(job.grid.crs.proj).get_factors(*sample_points(job.outline.lonlat).T)
    area = float(np.abs(np.asarray(factors.areal_scale) - 1.0).max())
    if area > _AREA:
        said.append(
            f"cells are up to {area:.1%} larger or smaller than they should be in {job.grid.crs}: "
            "leave grid: {crs: ...} out, or name an equal-area one"
        )
    if isinstance(job.output, ObjectPath):
        # The raw cells of a layer and its GeoTIFF, of the layers that are at work at a time.
        one = int(np.prod(job.grid.shape)) * len(job.time_slots) * 8
        layers = min(len(job.config.queries), _LAYERS_AT_WORK)
        said.append(
            f"GeoTIFFs are made in {tempfile.gettempdir()} before they are put: up to "
            f"{2 * one * layers / 1e9:,.1f} GB of disk there, on each worker of a cluster"
        )
    return tuple(said)


def _fetching(requests: Requests | None) -> tuple[str, ...]:
    return () if requests is None or requests.warning is None else (requests.warning,)


def encoding_rate(card: ModelCard) -> float:
    """Return the patches a second that a model is reckoned to encode on this machine's CPU."""
    return _RATES.get(card.config.image.kind, 1.0) * usable_cores()
