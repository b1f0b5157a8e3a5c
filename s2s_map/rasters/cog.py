"""One Cloud-Optimized GeoTIFF per concept and time slot: probability and cosine similarity."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s2s_map.rasters.geotiff import CogMetadata, statistics_tags, write_geotiff
from s2s_map.rasters.qgis_style import write_qml
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.tiling.grid import MapGrid


def file_stem(layer: ConceptLayer, slot: str, slots: int) -> str:
    """Return the base name of the files of one layer and time slot.

    ``<name>``, or ``<name>_<slot>`` where there are several time slots.
    """
    if slots == 1:
        return layer.name
    return f"{layer.name}_{re.sub(r'[^A-Za-z0-9.-]+', '-', slot).strip('-')}"


def write_cogs(
    folder: str | os.PathLike[str],
    layers: Sequence[ConceptLayer],
    grid: MapGrid,
    time_slots: Sequence[str],
    attributes: Mapping[str, Any],
) -> list[Path]:
    """Write the COGs of all layers, each with its QGIS style beside it.

    ``<name>.tif``, or ``<name>_<slot>.tif`` where there are several time slots.

    Returns:
        The GeoTIFFs, layers first, time slots within them.
    """
    paths = []
    for layer in layers:
        for index, slot in enumerate(time_slots):
            path = Path(folder) / f"{file_stem(layer, slot, len(time_slots))}.tif"
            one = layer.slot(index)
            # The style first: whoever sees the map finds it styled.
            write_qml(path.with_suffix(".qml"), layer)
            write_cog(path, one, grid, {"TIME_SLOT": slot, **attributes})
            paths.append(path)
    return paths


def write_cog(
    path: str | os.PathLike[str],
    layer: ConceptLayer,
    grid: MapGrid,
    attributes: Mapping[str, Any],
) -> None:
    """Write one time slot of a layer: band 1 probability, band 2 cosine similarity.

    Float32 with NaN for no data, tiles of 512 px, overviews by average, and statistics of all
    cells at full resolution. The file's tags hold the provenance.

    Args:
        path: File to make or replace, ending in ``.tif``.
        layer: A layer with one time slot.
        grid: The cells.
        attributes: Provenance; what is not text becomes JSON.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
        ValueError: For a layer of several time slots or that does not fit the grid.
    """
    if layer.shape[0] != 1:
        raise ValueError(f"a COG takes one time slot, layer {layer.name} has {layer.shape[0]}")
    bands = np.concatenate([layer.probability, layer.similarity])
    tags = {
        "CONCEPT": layer.name,
        "TITLE": layer.title,
        "METHOD": layer.method,
        "QUERY": layer.query,
        **{key.upper(): value for key, value in attributes.items()},
    }
    metadata = CogMetadata(
        descriptions=layer.band_descriptions,
        tags={key: _text(value) for key, value in tags.items() if value is not None},
        band_tags=[statistics_tags(band) for band in bands],
    )
    write_geotiff(Path(path), bands, grid, metadata)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
