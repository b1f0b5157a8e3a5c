"""Writing everything a person opens, from scored maps and a record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2s_map.arrays import ImageBlock
from s2s_map.errors import ImageryError, StoreError
from s2s_map.outputs import names
from s2s_map.outputs.checksums import FileEntry, file_entries, file_sha256
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import OutputPath
from s2s_map.outputs.staging import local_copy, staged
from s2s_map.pipeline.engine.executor import Executor
from s2s_map.pipeline.job.job import Job
from s2s_map.pipeline.job.run_record import RunRecord
from s2s_map.pipeline.maps.questions import Questions
from s2s_map.pipeline.maps.score_regions import Before, layers_of, write_layers
from s2s_map.rasters.building import MapsBuilding
from s2s_map.rasters.cog import cog_paths, read_overview
from s2s_map.rasters.formats import LayerFormats
from s2s_map.rasters.maps import read_maps
from s2s_map.rasters.qgis_project import write_project
from s2s_map.rasters.quicklook import (
    METERED_CELLS,
    MOST_CELLS,
    imagery_geobox,
    imagery_squares,
    read_imagery,
    write_imagery,
)
from s2s_map.rasters.stac import write_item
from s2s_map.reporter import Reporter
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.tiling.grid import MapGrid
from s2s_map.viewing.preview import draw_preview, pictures

# What does not lie beside the item while it is written: see `outputs.output`.
_ELSEWHERE = {
    "maps": f"./{names.MAPS}",
    "imagery": f"./{names.IMAGERY}",
}
# Read in squares of this many cells, since resampling takes many times the result's memory.
_READ_CELLS = 512


def write_quicklook(job: Job, out: OutputPath, reporter: Reporter) -> None:
    """Keep the imagery, averaged onto the cells or squares of them, for previews.

    Imagery that cannot be read is left out and noted: the maps do not depend on it.

    Args:
        job: The job.
        out: Where the results go.
        reporter: Receives what is left out.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
        ImageryChangedError: For imagery that is another than the run was planned with.
    """
    geobox = imagery_geobox(job.grid)
    ny, nx = (int(n) for n in geobox.shape)
    t = geobox.transform
    pixels = np.zeros((3, ny, nx), dtype=np.uint8)
    valid = np.zeros((ny, nx), dtype=np.bool_)
    failures: list[str] = []
    # Nothing is asked of a server that the maps do not show.
    metered = job.source.requests([], job.grid.crs) is not None
    step = METERED_CELLS if metered else _READ_CELLS
    wanted = {(r.start, c.start) for r, c in imagery_squares(job.grid, job.region)}
    for top in range(0, ny, step):
        for left in range(0, nx, step):
            if metered and (top, left) not in wanted:
                continue
            rows = slice(top, min(top + step, ny))
            columns = slice(left, min(left + step, nx))
            left_x, top_y = t.c + t.a * left, t.f + t.e * top
            bounds = (left_x, t.f + t.e * rows.stop, t.c + t.a * columns.stop, top_y)
            shape = (rows.stop - top, columns.stop - left)
            try:
                image = job.source.read(bounds, shape, job.grid.crs)
            except ImageryError as error:
                failures.append(error.found)
                continue
            pixels[:, rows, columns], valid[rows, columns] = image.pixels, image.valid
    if failures:
        reporter.note(
            f"the pictures show no imagery in {len(failures)} "
            f"part{'s' * (len(failures) != 1)}, the maps are whole: {failures[0]}"
        )
    tags = {"attribution": job.entry.attribution, "licence": job.entry.licence}
    with staged(out) as folder:
        write_imagery(folder / names.IMAGERY, pixels, valid, geobox, tags)


def write_results(
    out: OutputPath,
    building: MapsBuilding,
    questions: Questions,
    record: RunRecord,
    reporter: Reporter,
    executor: Executor | None = None,
    before: Before | None = None,
    home: OutputPath | None = None,
) -> None:
    """Write maps, pictures and metadata; every file appears whole or not at all.

    All but ``run.json``, which says that the run is finished: whoever calls this writes it last.

    Args:
        out: The output; the imagery quick-look lies where the results go.
        building: The scored maps.
        questions: What was asked.
        record: The run's record, which receives the names of the layers.
        reporter: Receives the progress.
        executor: Where GeoTIFFs are written; threads of this process if None.
        before: What is taken over from the finished results.
        home: Where the embeddings lie; those of the finished results if None.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
        InterruptedRunError: On Ctrl-C; finished files are kept.
    """
    grid, slots, results = building.grid, building.time_slots, building.target.parent
    reporter.start("Writing", len(building.names) + 4, "files")
    provenance = record.provenance()
    attributes = provenance.attributes()
    bad = () if before is None else before.bad
    layers = layers_of(building, questions, out, before)
    formats = LayerFormats(record.config.formats)
    layers = write_layers(building, layers, out, attributes, reporter, executor, bad, formats)
    building.finish(layers, attributes)
    layers = read_maps(results / names.MAPS)
    record.name_concepts(layers)
    reporter.advance(1)

    def shown(layer: ConceptLayer, slot: int) -> NDArray[np.float32]:
        with local_copy(cog_paths(results, layer, slots)[slot]) as path:
            return read_overview(path, MOST_CELLS)

    imagery = _imagery(results, grid, reporter)
    with staged(results) as folder:
        draw_preview(
            folder / names.PREVIEW,
            imagery,
            pictures(layers, slots, shown),
            grid,
            provenance.attribution,
            provenance.run,
            len(layers) * len(slots),
            record.remarks,
        )
        reporter.advance(1)
        made = {names.PREVIEW: _entry(folder / names.PREVIEW)}
        if names.PROJECT in open_output(out).left_alone():
            reporter.note(f"{names.PROJECT} there is your own: it is left alone, and none is made")
        else:
            there = (results / names.IMAGERY).exists()
            write_project(folder / names.PROJECT, layers, grid, slots, provenance, imagery=there)
            made[names.PROJECT] = _entry(folder / names.PROJECT)
        reporter.advance(1)
        beside = {**file_entries(results), **made}
        elsewhere = {**_ELSEWHERE, "embeddings": open_output(out).embeddings_href(home)}
        if names.IMAGERY not in beside:
            elsewhere.pop("imagery")
        checksums = {name: (entry.size, entry.sha256) for name, entry in beside.items()}
        item = folder / names.ITEM
        write_item(
            item,
            provenance,
            layers,
            grid,
            slots,
            elsewhere=elsewhere,
            files=checksums,
            further=formats.media_types,
        )
    record.files = file_entries(results, beside)
    record.files.pop(names.RECORD, None)
    reporter.advance(1)
    reporter.finish()


def _imagery(results: OutputPath, grid: MapGrid, reporter: Reporter) -> ImageBlock:
    """Return the imagery kept for pictures; nothing but no data where it is lost."""
    try:
        with local_copy(results / names.IMAGERY) as path:
            return read_imagery(path)
    except (FileNotFoundError, StoreError):
        reporter.note(f"{names.IMAGERY} is missing: the preview is without; run again to make it")
        ny, nx = (int(n) for n in imagery_geobox(grid).shape)
        return ImageBlock(np.zeros((3, ny, nx), np.uint8), np.zeros((ny, nx), np.bool_))


def _entry(path: Path) -> FileEntry:
    return FileEntry(path.stat().st_size, file_sha256(path))
