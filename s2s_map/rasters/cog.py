"""One Cloud-Optimized GeoTIFF per concept and time slot: probability and cosine similarity."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from s2s_map.errors import StoreError
from s2s_map.outputs.names import layer_stem
from s2s_map.outputs.path import ObjectPath, OutputPath
from s2s_map.rasters.cells import StoredCells
from s2s_map.rasters.geotiff import (
    CogMetadata,
    convert_to_geotiff,
    local_gdal,
    statistics_tags,
    write_geotiff,
)
from s2s_map.rasters.qgis_style import write_qml
from s2s_map.redaction import cleaned
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.tiling.grid import MapGrid


def file_stem(layer: ConceptLayer, slot: str, slots: int) -> str:
    """Return the base name of the files of one layer and time slot, see `layer_stem`."""
    return layer_stem(layer.name, slot, slots)


def cog_paths[Place: (Path, ObjectPath, OutputPath)](
    folder: Place, layer: ConceptLayer, time_slots: Sequence[str]
) -> list[Place]:
    """Return where the COGs of a layer lie, one per time slot."""
    return [folder / f"{file_stem(layer, s, len(time_slots))}.tif" for s in time_slots]


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
        of_layer = cog_paths(Path(folder), layer, time_slots)
        for index, path in enumerate(of_layer):
            # The style first: whoever sees the map finds it styled.
            write_qml(path.with_suffix(".qml"), layer)
            tags = {"TIME_SLOT": time_slots[index], **attributes}
            write_cog(path, layer, grid, tags, index)
        paths += of_layer
    return paths


def write_cog(
    path: str | os.PathLike[str],
    layer: ConceptLayer,
    grid: MapGrid,
    attributes: Mapping[str, Any],
    slot: int = 0,
) -> None:
    """Write one time slot of a layer: band 1 probability, band 2 cosine similarity.

    Float32 with NaN for no data, tiles of 512 px, overviews by average, and statistics of all
    cells at full resolution. The file's tags hold the provenance. Layers that lie in a
    ``maps.zarr`` are read from there tile by tile, and may be larger than memory.

    Args:
        path: File to make or replace, ending in ``.tif``.
        layer: The layer.
        grid: The cells.
        attributes: Provenance; what is not text becomes JSON.
        slot: Which of the layer's time slots.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
        ValueError: For a layer that does not fit the grid.
    """
    if layer.shape[1:] != grid.shape:
        raise ValueError(f"a layer of shape {layer.shape} on a grid of {grid.shape}")
    tags = {
        "CONCEPT": layer.name,
        "TITLE": layer.title,
        "METHOD": layer.method,
        "QUERY": layer.query,
        **{key.upper(): value for key, value in attributes.items()},
    }
    summary = layer.summary
    metadata = CogMetadata(
        descriptions=layer.band_descriptions,
        tags={key: _text(value) for key, value in tags.items() if value is not None},
        band_tags=[
            statistics_tags(summary.probability[slot]),
            statistics_tags(summary.similarity[slot]),
        ],
    )
    parts = (layer.probability, layer.similarity)
    stored = [cells.gdal_name(slot) for cells in parts if isinstance(cells, StoredCells)]
    if len(stored) == len(parts):
        convert_to_geotiff(Path(path), stored, grid.geobox, metadata)
    else:
        write_geotiff(Path(path), np.stack([p[slot] for p in parts]), grid.geobox, metadata)


def read_overview(path: str | os.PathLike[str], most: int, band: int = 1) -> NDArray[np.float32]:
    """Return a band of a COG from the largest overview with at most `most` rows and columns.

    The whole band if it is as small as that, the smallest overview if none is.

    Raises:
        StoreError: For a missing or damaged file.
    """
    try:
        with local_gdal(), rasterio.open(path) as source:
            size = max(source.shape)
            levels = [
                level
                for level, factor in enumerate(source.overviews(band))
                if -(-size // factor) <= most
            ]
            last = len(source.overviews(band)) - 1
        if size <= most or last < 0:
            options = {}
        else:
            options = {"overview_level": levels[0] if levels else last}
        with local_gdal(), rasterio.open(path, **options) as source:
            return np.asarray(source.read(band), dtype=np.float32)
    except rasterio.errors.RasterioError as error:
        raise StoreError(f"cannot read {path} ({error})", remedy="run again to make it") from error


def _text(value: Any) -> str:
    value = cleaned(value)
    return value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
