"""What is taken away: a layer, or what is seen of it, as a GeoTIFF with its provenance."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from s2s_map.errors import RegionError
from s2s_map.rasters.geotiff import CogMetadata, write_geotiff
from s2s_map.redaction import cleaned
from s2s_map.server.answers import Question
from s2s_map.server.pieces import Pieces
from s2s_map.server.tile_grid import transformer
from s2s_map.server.viewed import Viewed
from s2s_map.server.viewed_run import ViewedRun

MOST_CELLS = 16_000_000
"""Cells of a GeoTIFF that is made for the page; larger ones lie in the output already."""

Box = tuple[float, float, float, float]


def layer_tiff(viewed: Viewed, name: str, slot: str, seen: Box | None) -> bytes:
    """Return the cells of a layer within a box of degrees as a GeoTIFF; all of them for None."""
    run = _run_in(viewed, slot, seen, {one.folder for one, _ in viewed.layers[name]})
    rows, columns = _window(run, run.grid.geobox, seen)
    at = run.time_slots.index(slot)
    layer = run.layers[name]
    bands = np.stack(
        [np.asarray(cells[at, rows, columns]) for cells in (layer.probability, layer.similarity)]
    )
    return _written(run, bands, run.grid.geobox, rows, columns, layer.band_descriptions, slot)


def question_tiff(
    viewed: Viewed, pieces: Pieces, question: Question, slot: str, seen: Box | None
) -> bytes:
    """Return the answer to a question within a box as a GeoTIFF, at its finest level."""
    run = _run_in(viewed, slot, seen)
    geobox = pieces.levels(viewed, run)[0].geobox
    rows, columns = _window(run, geobox, seen)
    cells = pieces.window(
        viewed, run, question.id, question.group(run), 0, run.time_slots.index(slot), rows, columns
    )
    told = (f"{question.title}: {question.about['label']}",)
    return _written(run, cells[None], geobox, rows, columns, told, slot)


def _run_in(
    viewed: Viewed, slot: str, seen: Box | None, among: set[object] | None = None
) -> ViewedRun:
    """Return the run that most of a box shows; a GeoTIFF is of one grid."""
    runs = [
        run
        for run in viewed.runs
        if slot in run.time_slots and (among is None or run.folder in among)
    ]
    if seen is None:
        if len(runs) != 1:
            raise RegionError(
                f"a layer of {len(runs)} runs, each with cells of its own",
                remedy="move to one and take what is seen, or take the GeoTIFFs out of the folders",
            )
        return runs[0]
    best = max(runs, key=lambda run: _area(_shared(run.bounds, seen)), default=None)
    if best is None or _area(_shared(best.bounds, seen)) <= 0:
        raise RegionError("nothing of the map is seen", remedy="move back to it")
    return best


def _shared(one: Box, seen: Box) -> Box:
    """Return what two boxes share, in whichever turn around the Earth they share most."""
    turns = round((one[0] + one[2] - seen[0] - seen[2]) / 720)
    every = (
        (
            max(one[0], seen[0] + 360 * turn),
            max(one[1], seen[1]),
            min(one[2], seen[2] + 360 * turn),
            min(one[3], seen[3]),
        )
        for turn in (turns - 1, turns, turns + 1)
    )
    return max(every, key=_area)


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _window(run: ViewedRun, geobox: GeoBox, seen: Box | None) -> tuple[slice, slice]:
    ny, nx = (int(n) for n in geobox.shape)
    if seen is None:
        rows, columns = slice(0, ny), slice(0, nx)
    else:
        into = transformer(str(run.grid.crs), "EPSG:4326")
        # Of the map alone: beyond it a projection may have no answer, or one on the other side.
        shared = _shared(run.bounds, seen)
        west, south, east, north = into.transform_bounds(*shared, densify_pts=21)
        t = geobox.transform
        left, right = (_clamped((x - t.c) / t.a, nx) for x in (west, east))
        top, bottom = (_clamped((y - t.f) / t.e, ny) for y in (north, south))
        rows, columns = slice(top, min(bottom + 1, ny)), slice(left, min(right + 1, nx))
    cells = (rows.stop - rows.start) * (columns.stop - columns.start)
    if cells <= 0:
        raise RegionError("nothing of the map is seen", remedy="move back to it")
    if cells > MOST_CELLS:
        raise RegionError(
            f"{cells:,} cells to take away", expected=f"at most {MOST_CELLS:,}",
            remedy="zoom in, or take the GeoTIFF out of the output's folder",
        )  # fmt: skip
    return rows, columns


def _clamped(value: float, most: int) -> int:
    return int(min(max(value, 0), most)) if np.isfinite(value) else 0


def _written(
    run: ViewedRun,
    bands: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    geobox: GeoBox,
    rows: slice,
    columns: slice,
    told: tuple[str, ...],
    slot: str,
) -> bytes:
    t = geobox.transform
    corner = Affine(t.a, 0.0, t.c + t.a * columns.start, 0.0, t.e, t.f + t.e * rows.start)
    part = GeoBox((bands.shape[1], bands.shape[2]), corner, geobox.crs)
    provenance = run.record.provenance()
    tags = {
        "TITLE": provenance.run,
        "ATTRIBUTION": provenance.attribution,
        "LINEAGE": provenance.lineage,
        "TIME_SLOT": slot,
    }
    with TemporaryDirectory(prefix="s2s-map-view-") as folder:
        path = Path(folder) / "layer.tif"
        write_geotiff(path, bands, part, CogMetadata(told, cleaned(tags)))
        return path.read_bytes()
