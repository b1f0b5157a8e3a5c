"""Writing everything a person opens, from layers and a record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.pipeline import folder as names
from s2s_map.pipeline.job import Job
from s2s_map.pipeline.progress import Reporter
from s2s_map.pipeline.record import RunRecord
from s2s_map.rasters.cog import write_cogs
from s2s_map.rasters.maps import read_maps, write_maps
from s2s_map.rasters.quicklook import read_imagery, write_imagery
from s2s_map.rasters.stac import write_item
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.viewing.preview import draw_preview


def write_quicklook(job: Job, out: Path) -> None:
    """Keep the imagery, averaged onto the cells, for previews of later queries."""
    grid = job.grid
    image = job.source.read(grid.bounds, grid.shape, grid.crs)
    tags = {"attribution": job.entry.attribution, "licence": job.entry.licence}
    write_imagery(out / names.IMAGERY, image.pixels, image.valid, grid, tags)


def existing_layers(out: Path) -> list[ConceptLayer]:
    """Return the layers a folder already has."""
    return read_maps(out / names.MAPS) if (out / names.MAPS).exists() else []


def merge_layers(old: Sequence[ConceptLayer], new: Sequence[ConceptLayer]) -> list[ConceptLayer]:
    """Return the layers with new ones in the place of those of the same name, or at the end."""
    by_name = {layer.name: layer for layer in old}
    by_name.update({layer.name: layer for layer in new})
    return list(by_name.values())


def write_results(
    out: Path,
    store: EmbeddingsStore,
    layers: Sequence[ConceptLayer],
    changed: Sequence[ConceptLayer],
    record: RunRecord,
    reporter: Reporter,
) -> None:
    """Write maps, pictures and metadata; every file appears whole or not at all.

    Args:
        out: The output folder, with its imagery quick-look.
        store: The embeddings.
        layers: All layers of the maps.
        changed: Those whose GeoTIFFs are not written yet.
        record: The run's record, written too.
        reporter: Told of the progress.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    reporter.start("Writing", len(changed) + 3, "files")
    grid, slots = store.grid, store.time_slots
    provenance = record.provenance(out)
    attributes = provenance.attributes()
    record.name_concepts(layers)
    write_maps(out / names.MAPS, layers, grid, slots, attributes, record.config.zarr_format)
    reporter.advance(1)
    for layer in changed:
        write_cogs(out, [layer], grid, slots, attributes)
        reporter.advance(1)
    draw_preview(
        out / names.PREVIEW,
        read_imagery(out / names.IMAGERY),
        layers,
        grid,
        provenance.attribution,
        provenance.run,
        slots,
    )
    reporter.advance(1)
    record.write(out / names.RECORD)
    write_item(out / names.ITEM, provenance, layers, grid, slots)
    reporter.advance(1)
    reporter.finish()
