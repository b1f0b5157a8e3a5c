"""What to think about before a run starts."""

from __future__ import annotations

import tempfile

import numpy as np
import shapely
from odc.geo.crs import CRS
from shapely.geometry.base import BaseGeometry

from s2s_map.catalog.scene import Scene
from s2s_map.config.stac import StacEntry
from s2s_map.outputs.names import RECORD
from s2s_map.outputs.output import open_output
from s2s_map.pipeline.job.colour_remarks import colour_remarks, unseen_note
from s2s_map.pipeline.job.job import Job
from s2s_map.regions.coverage import Covers
from s2s_map.regions.extent import sample_points
from s2s_map.regions.projections import is_finite, project
from s2s_map.regions.region import Outline
from s2s_map.tiling.projections import FAR, TRUE_AREA, area_error
from s2s_map.tiling.splitting import LAND, Piece, split_region

# Ground sample distances that differ less than this are those of one sensor.
_SAME_GSD = 1.2
_OUTSIDE = 0.001
_LAYERS_AT_WORK = 2


def proposed_split(job: Job, error: float, land: float) -> tuple[Piece, ...]:
    """Return pieces to map instead of a region that one map does not show well; none if it does.

    Args:
        job: The job.
        error: By what share a distance on its map may be off.
        land: Share of the grid's cells that are in the region.
    """
    if error <= FAR and not _scattered(job, land):
        return ()
    pieces = split_region(job.outline)
    return tuple(pieces) if len(pieces) > 1 else ()


def _scattered(job: Job, land: float) -> bool:
    # A polygon of your own may be as thin as a river.
    return bool(job.outline.place) and land < LAND


def plan_warnings(job: Job, error: float, land: float) -> tuple[str, ...]:
    """Return warnings about a job, a line each.

    Args:
        job: The job.
        error: By what share a distance on its map may be off.
        land: Share of the grid's cells that are in the region.
    """
    said = [job.outline.note] if job.outline.note else []
    if error > FAR:
        said.append(
            f"distances on the map are up to {error:.1%} off (areas are true): split the region, "
            "by first-level units or as below, for less"
        )
    if _scattered(job, land):
        said.append(
            f"{land:.2%} of the map's cells are land: what lies between is neither read nor "
            f"stored, but shown; region: {job.outline.place} (all) in a batch makes maps of "
            "islands that lie together"
        )
    area = area_error(job.grid.crs, sample_points(job.outline.lonlat))
    if area > TRUE_AREA:
        said.append(
            f"cells are up to {area:.1%} larger or smaller than they should be in {job.grid.crs}: "
            "leave grid: {crs: ...} out, or name an equal-area one"
        )
    return (
        *said,
        *sample_distance_warnings(job),
        *job.source.pixel_warnings(job.outline.extent.bounds),
        *_outside(job),
        *_temporary_disk(job),
        *(f"imagery: {remark}" for remark in (*colour_remarks(job), *unseen_note(job))),
    )


def _temporary_disk(job: Job) -> list[str]:
    free = open_output(job.output).free_bytes()
    if free is not None:
        return _beside(job, free)
    # The raw cells of a layer and its GeoTIFF, of the layers that are at work at a time.
    one = 2 * int(np.prod(job.grid.shape)) * len(job.time_slots) * 8
    layers = min(len(job.config.queries), _LAYERS_AT_WORK)
    return [
        f"GeoTIFFs are made in {tempfile.gettempdir()} before they are put: up to "
        f"{one * layers / 1e9:,.1f} GB of disk there, on each worker of a cluster"
    ]


def _beside(job: Job, free: int) -> list[str]:
    """Return that results lie beside those that they replace for a while, if there are any."""
    if not (job.output / RECORD).exists():
        return []
    cells, slots = int(np.prod(job.grid.shape)), len(job.time_slots)
    # maps.zarr and GeoTIFFs.
    maps = 2 * 8 * cells * slots * len(job.config.queries)
    embeddings = 2 * cells * slots * job.card.config.dim
    short = "" if free > maps + embeddings else ": that may not be enough"
    return [
        f"the results in {job.output} stay until the new ones are whole: up to {maps / 1e9:,.1f} "
        f"GB of disk beside them, {(maps + embeddings) / 1e9:,.1f} GB with --overwrite; "
        f"{free / 1e9:,.1f} GB are free{short}"
    ]


def sample_distance_warnings(job: Job) -> list[str]:
    """Return what does not fit between pixels, the entry's sensor and the model, a line each."""
    said = []
    stated = job.entry.sensor.gsd_m
    known = job.card.gsd_m
    if known is not None and not known[0] / _SAME_GSD <= stated <= known[1] * _SAME_GSD:
        low, high = known
        trained = f"{low:g} m" if low == high else f"{low:g} to {high:g} m"
        said.append(
            f"the imagery has {stated:g} m a pixel, the model {job.card.name} was trained on "
            f"{trained}: results are beyond what it was tested on"
        )
    if isinstance(job.entry, StacEntry) and stated * _SAME_GSD < job.entry.pixel_m:
        said.append(
            f"scenes of {job.entry.collection} have {job.entry.pixel_m:g} m a pixel, but the "
            f"entry's sensor says {stated:g} m: correct sensor:, they show nothing smaller"
        )
    sizes = [part.gsd_m for part in job.source.coverage if isinstance(part, Scene)]
    found = float(np.median(sizes)) if sizes else stated
    if not stated / _SAME_GSD <= found <= stated * _SAME_GSD:
        said.append(
            f"the files have {found:.3g} m a pixel, but the entry's sensor says {stated:g} m: "
            "correct sensor:, it decides the size of a patch"
        )
    return said


def _outside(job: Job) -> list[str]:
    region = job.region.polygon or shapely.box(*job.region.bounds)
    parts = [_covered(job.outline, part, job.grid.crs) for part in job.source.coverage]
    known = [part for part in parts if part is not None]
    if not parts or len(known) < len(parts):
        return []
    share = 1.0 - region.intersection(shapely.union_all(known)).area / region.area
    if share < _OUTSIDE:
        return []
    return [
        f"{share:.1%} of the region lies outside the imagery of {job.config.source}, and will have "
        "no data"
    ]


def _covered(outline: Outline, part: Covers, crs: CRS) -> BaseGeometry | None:
    """Return what of a region lies in a part of the imagery, in `crs`; None if it cannot be said.

    Compared in the part's CRS: an outline of the whole Earth does not fit into that of a map.
    """
    there = project(outline.geometry, outline.crs, part.crs)
    if not is_finite(there):
        return None
    inside = shapely.make_valid(there).intersection(part.footprint)
    if inside.is_empty:
        return shapely.Polygon()
    back = shapely.make_valid(project(inside, part.crs, crs))
    return back if is_finite(back) else None
