"""``item.json``: a STAC item that describes the outputs of a run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pystac

from s2s_map.outputs.atomic import replacing_file
from s2s_map.rasters.assets import (
    add_checksums,
    further_assets,
    layer_assets,
    other_assets,
    renders,
)
from s2s_map.rasters.footprint import footprint
from s2s_map.rasters.provenance import Credit, Provenance
from s2s_map.redaction import file_json
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.tiling.grid import MapGrid

EXTENSIONS = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "https://stac-extensions.github.io/render/v2.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
)
"""Extensions of STAC 1.1 that the item follows."""

FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
"""The one that an item with sizes and checksums follows as well."""

_SPDX = re.compile(r"[\w\-.+]+")


def write_item(
    path: str | os.PathLike[str],
    provenance: Provenance,
    layers: Sequence[ConceptLayer],
    grid: MapGrid,
    time_slots: Sequence[str],
    description: str = "",
    elsewhere: Mapping[str, str] | None = None,
    files: Mapping[str, tuple[int, str]] | None = None,
    further: Mapping[str, tuple[str, str]] | None = None,
) -> None:
    """Write the STAC item of a run.

    Assets are the GeoTIFF and the QGIS style of every layer, and what else the run writes:
    ``run.json`` always, and of ``maps.zarr``, ``embeddings.zarr``, ``imagery.tif`` and
    ``preview.png`` those that lie beside the item. Write it after them.

    Args:
        path: File to make or replace, usually ``item.json``.
        provenance: Whose imagery, which model, when.
        layers: The layers.
        grid: The cells.
        time_slots: Labels of the time slots.
        description: What the run is about, for a person.
        elsewhere: Addresses by asset key of what does not lie beside the item as it is written.
        files: Size and SHA-256, hexadecimal, by the name of a file beside the item.
        further: Media type and format of further files of each layer, by their ending.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    target = Path(path)
    item = make_item(
        provenance, layers, grid, time_slots, target.parent, description, elsewhere, files, further
    )
    with replacing_file(target) as partial:
        partial.write_text(file_json(item.to_dict(include_self_link=False)), encoding="utf-8")


def make_item(
    provenance: Provenance,
    layers: Sequence[ConceptLayer],
    grid: MapGrid,
    time_slots: Sequence[str],
    folder: Path,
    description: str = "",
    elsewhere: Mapping[str, str] | None = None,
    files: Mapping[str, tuple[int, str]] | None = None,
    further: Mapping[str, tuple[str, str]] | None = None,
) -> pystac.Item:
    """Return the STAC item of a run whose outputs lie in `folder`; see `write_item`."""
    geometry, bounds = footprint(grid)
    item = pystac.Item(
        id=re.sub(r"[^\w.-]+", "-", provenance.run).strip("-") or "s2s-map",
        geometry=geometry,
        bbox=list(bounds),
        # STAC asks for a time.
        datetime=None if provenance.imagery_time else provenance.created,
        properties=_properties(provenance, layers, grid, time_slots, description),
        # Without a layer nothing of the raster extension is used, which its schema demands.
        stac_extensions=[uri for uri in EXTENSIONS if layers or "/raster/" not in uri],
    )
    for key, asset in {
        **layer_assets(layers, time_slots, grid.cell_m),
        **further_assets(layers, time_slots, further or {}),
        **other_assets(folder, elsewhere or {}),
    }.items():
        item.add_asset(key, asset)
    if files:
        item.stac_extensions.append(FILE_EXTENSION)
        add_checksums(item.assets, files)
    for link in _links(provenance):
        item.add_link(link)
    return item


def _properties(
    provenance: Provenance,
    layers: Sequence[ConceptLayer],
    grid: MapGrid,
    time_slots: Sequence[str],
    description: str,
) -> dict[str, Any]:
    dated: dict[str, Any] = {}
    if provenance.imagery_time:
        start, end = provenance.imagery_time
        dated = {
            "start_datetime": pystac.utils.datetime_to_str(start),
            "end_datetime": pystac.utils.datetime_to_str(end),
        }
    return {
        "title": f"{provenance.run}: where sounds are likely",
        "description": description or provenance.lineage,
        **dated,
        "license": _licence(provenance),
        "providers": _providers(provenance),
        "gsd": grid.cell_m,
        **_projection(grid),
        "processing:lineage": provenance.lineage,
        "processing:level": "L4",
        "processing:software": dict(provenance.software),
        "renders": renders(layers, time_slots),
        "s2s_map:attribution": provenance.attribution,
        "s2s_map:imagery": provenance.imagery.as_dict(),
        "s2s_map:model": {
            **provenance.model.as_dict(),
            "sha256": provenance.model_sha256,
        },
        "s2s_map:time_slots": list(time_slots),
        "s2s_map:concepts": {
            layer.name: {
                "title": layer.title,
                "method": layer.method,
                "query": dict(layer.query),
            }
            for layer in layers
        },
    }


def _projection(grid: MapGrid) -> dict[str, Any]:
    transform = [*list(grid.transform)[:6], 0.0, 0.0, 1.0]
    code = f"EPSG:{grid.crs.epsg}" if grid.crs.epsg else None
    return {
        "proj:code": code,
        **({} if code else {"proj:wkt2": grid.crs.to_wkt()}),
        "proj:bbox": list(grid.bounds),
        "proj:shape": list(grid.shape),
        "proj:transform": transform,
    }


def _licence(provenance: Provenance) -> str:
    """Return the licence of imagery and model if it is one and the same, else ``other``."""
    names = {provenance.imagery.licence, provenance.model.licence}
    name = names.pop()
    return name if not names and _SPDX.fullmatch(name) else "other"


def _providers(provenance: Provenance) -> list[dict[str, Any]]:
    return [
        _provider(provenance.imagery, ["producer", "licensor"], "Imagery"),
        _provider(provenance.model, ["processor", "licensor"], "Model"),
    ]


def _provider(credit: Credit, roles: list[str], what: str) -> dict[str, Any]:
    return {
        "name": credit.provider or credit.title,
        "description": f"{what}: {credit.title}. {credit.attribution} ({credit.licence})",
        "roles": roles,
        **({"url": credit.url} if credit.url else {}),
    }


def _links(provenance: Provenance) -> list[pystac.Link]:
    return [
        pystac.Link(
            rel="license",
            target=credit.licence_url,
            title=f"{what}: {credit.licence}",
        )
        for credit, what in (
            (provenance.imagery, "Imagery"),
            (provenance.model, "Model"),
        )
        if credit.licence_url
    ]
