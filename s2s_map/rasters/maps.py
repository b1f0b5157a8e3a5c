"""``maps.zarr``: probability and similarity of every concept, for xarray and for GDAL."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import xarray as xr

from s2s_map.embeddings.georeference import grid_from_attributes
from s2s_map.errors import OutputError, StoreError
from s2s_map.outputs.atomic import replacing_folder
from s2s_map.outputs.path import ObjectPath, OutputPath, output_path, wrapped, zarr_target
from s2s_map.outputs.zarr_files import MAP_VARIABLES
from s2s_map.rasters.cells import StoredCells, damaged
from s2s_map.rasters.maps_schema import (
    CHUNK_CELLS,
    CONCEPTS,
    SCHEMA,
    SCHEMA_VERSION,
    VERSION,
    WHAT,
    create_group,
    describe_group,
    variable,
)
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.scoring.summary import LayerSummary
from s2s_map.tiling.grid import MapGrid

__all__ = [
    "ConceptLayer",
    "MapRegion",
    "map_regions",
    "read_maps",
    "read_maps_grid",
    "write_maps",
]


@dataclass(frozen=True)
class MapRegion:
    """A rectangle of cells that is one chunk of every layer: the unit of writing.

    Different regions may be written at the same time by different threads or processes.

    Attributes:
        key: Its name, fit for a file name.
        y: Rows.
        x: Columns.
    """

    key: str
    y: slice
    x: slice


def map_regions(grid: MapGrid) -> Iterator[MapRegion]:
    """Yield the regions of the maps of a grid, row by row from the north-west."""
    ny, nx = grid.shape
    for row, top in enumerate(range(0, ny, CHUNK_CELLS)):
        for column, left in enumerate(range(0, nx, CHUNK_CELLS)):
            yield MapRegion(
                f"r{row:03d}-c{column:03d}",
                slice(top, min(top + CHUNK_CELLS, ny)),
                slice(left, min(left + CHUNK_CELLS, nx)),
            )


def write_maps(
    path: str | os.PathLike[str],
    concepts: Sequence[ConceptLayer],
    grid: MapGrid,
    time_slots: Sequence[str],
    attributes: Mapping[str, Any],
    zarr_format: Literal[2, 3] = 3,
) -> None:
    """Write layers as one Zarr group, replacing an existing one only when done.

    What the group looks like is said in `s2s_map.rasters.maps_schema`. Layers are read and
    written region by region.

    Args:
        path: Folder to write, usually ``maps.zarr``.
        concepts: Layers of different names, at least one.
        grid: The cells.
        time_slots: Labels of the time slots.
        attributes: Provenance, written as attributes of the group; anything JSON can hold.
        zarr_format: Version of the Zarr format.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
        ValueError: For layers that do not fit the grid, the time slots or each other.
    """
    _check(concepts, grid, time_slots)
    with replacing_folder(path) as partial:
        create_group(partial, [layer.name for layer in concepts], grid, time_slots, zarr_format)
        arrays = {name: variable(partial, name) for name in MAP_VARIABLES}
        for region in map_regions(grid):
            for index, layer in enumerate(concepts):
                for name, array in arrays.items():
                    cells = getattr(layer, name)
                    array[index, :, region.y, region.x] = cells[:, region.y, region.x]
        describe_group(partial, concepts, grid, attributes)


def read_maps(path: str | os.PathLike[str] | ObjectPath) -> list[ConceptLayer]:
    """Return all layers of a ``maps.zarr``; their cells are read when they are indexed.

    Raises:
        StoreError: For a folder that is missing, damaged or of another kind or version.
    """
    place = output_path(path)
    with _opened(place) as dataset:
        try:
            described = dataset.attrs[CONCEPTS]
            names = [str(name) for name in dataset["concept"].values]
            shape = tuple(int(n) for n in dataset["probability"].shape[1:])
            return [
                ConceptLayer(
                    name=name,
                    title=described[name]["title"],
                    query=described[name]["query"],
                    probability=StoredCells(place, "probability", i, shape),
                    similarity=StoredCells(place, "similarity", i, shape),
                    method=described[name]["method"],
                    known=_summary(described[name]),
                )
                for i, name in enumerate(names)
            ]
        except Exception as error:
            raise damaged(place, error) from error


def read_maps_grid(
    path: str | os.PathLike[str] | ObjectPath,
) -> tuple[MapGrid, list[str], dict[str, Any]]:
    """Return the grid, the time slots and the group's attributes of a ``maps.zarr``.

    Raises:
        StoreError: For a folder that is missing, damaged or of another kind or version.
    """
    place = output_path(path)
    with _opened(place) as dataset:
        attributes: dict[str, Any] = {str(k): v for k, v in dataset.attrs.items()}
        try:
            slots = [str(slot) for slot in dataset["time"].values]
        except Exception as error:
            raise damaged(place, error) from error
    return grid_from_attributes(attributes, place), slots, attributes


def _summary(described: Mapping[str, Any]) -> LayerSummary | None:
    summary = described.get("summary")
    return None if summary is None else LayerSummary.from_dict(summary)


def _opened(path: OutputPath) -> xr.Dataset:
    if not path.is_dir():
        raise StoreError(f"no maps at {path}", remedy="make them with s2s-map run CONFIG")
    try:
        with wrapped(path):
            target = zarr_target(path, read_only=True)
            dataset: xr.Dataset = xr.open_zarr(target, chunks=None, consolidated=False)
    except OutputError:
        raise
    except Exception as error:
        raise damaged(path, error) from error
    schema, version = dataset.attrs.get(WHAT), dataset.attrs.get(VERSION)
    if schema != SCHEMA or version != SCHEMA_VERSION:
        dataset.close()
        raise StoreError(
            f"{path} holds {schema or 'something else'}, version {version}",
            expected=f"{SCHEMA}, version {SCHEMA_VERSION}",
            remedy="use the version of s2s-map that wrote it, or query again",
        )
    return dataset


def _check(concepts: Sequence[ConceptLayer], grid: MapGrid, time_slots: Sequence[str]) -> None:
    names = [layer.name for layer in concepts]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"maps take one or more layers of different names, got {names}")
    expected = (len(time_slots), *grid.shape)
    for layer in concepts:
        if layer.shape != expected:
            raise ValueError(f"layer {layer.name} has shape {layer.shape}, its maps {expected}")
