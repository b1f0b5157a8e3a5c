"""``maps.zarr``: probability and similarity of every concept, for xarray and for GDAL."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from zarr.errors import ZarrUserWarning

from s2s_map.embeddings.georeference import (
    SPATIAL_REF,
    coordinate_attributes,
    grid_from_attributes,
    group_attributes,
    spatial_ref_attributes,
    variable_attributes,
)
from s2s_map.embeddings.replacing import replacing_folder
from s2s_map.errors import StoreError
from s2s_map.scoring.layers import SIMILARITY_LABEL, ConceptLayer
from s2s_map.tiling.grid import MapGrid

__all__ = ["ConceptLayer", "read_maps", "read_maps_grid", "write_maps"]

SCHEMA = "s2s-map/maps"
SCHEMA_VERSION = 1

_DIMENSIONS = ("concept", "time", "y", "x")
_CHUNK_CELLS = 512
_RESERVED = ("s2s_map:schema", "s2s_map:schema_version", "s2s_map:concepts")


def write_maps(
    path: str | os.PathLike[str],
    concepts: Sequence[ConceptLayer],
    grid: MapGrid,
    time_slots: Sequence[str],
    attributes: Mapping[str, Any],
    zarr_format: Literal[2, 3] = 3,
) -> None:
    """Write all layers as one Zarr group, replacing an existing one only when done.

    Variables ``probability`` and ``similarity``, float32, NaN for no data, with dimensions
    (concept, time, y, x), unsharded: GDAL before 3.13 cannot read shards. GDAL sees
    ``ZARR:"maps.zarr":/probability`` as one band per concept and time slot, the time slots of the
    first concept first. Zarr format 2 is for older GIS: QGIS 3.22, with GDAL 3.6, reads no other,
    and one band at a time, as ``ZARR:"maps.zarr":/probability:0:0`` (concept, time slot).

    Args:
        path: Folder to write, by custom ``maps.zarr``.
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
    dataset = _dataset(concepts, grid, time_slots, attributes, zarr_format)
    ny, nx = grid.shape
    layer = {
        "chunks": (1, 1, min(ny, _CHUNK_CELLS), min(nx, _CHUNK_CELLS)),
        "_FillValue": np.float32(np.nan),
    }
    plain: dict[str, Any] = {"_FillValue": None}
    encoding = {"probability": layer, "similarity": layer, "x": plain, "y": plain}
    with replacing_folder(path) as partial, warnings.catch_warnings():
        # Zarr warns that other readers may ignore consolidated metadata; they may.
        warnings.simplefilter("ignore", ZarrUserWarning)
        dataset.to_zarr(partial, mode="w-", zarr_format=zarr_format, encoding=encoding)


def read_maps(path: str | os.PathLike[str]) -> list[ConceptLayer]:
    """Return all layers of a ``maps.zarr``, in memory.

    Raises:
        StoreError: For a folder that is missing, damaged or of another kind or version.
    """
    with _opened(path) as dataset:
        try:
            described = dataset.attrs[_RESERVED[2]]
            names = [str(name) for name in dataset["concept"].values]
            return [
                ConceptLayer(
                    name=name,
                    title=described[name]["title"],
                    query=described[name]["query"],
                    probability=_values(dataset, "probability", i),
                    similarity=_values(dataset, "similarity", i),
                    method=described[name]["method"],
                )
                for i, name in enumerate(names)
            ]
        except Exception as error:
            raise _damaged(path, error) from error


def read_maps_grid(
    path: str | os.PathLike[str],
) -> tuple[MapGrid, list[str], dict[str, Any]]:
    """Return the grid, the time slots and the group's attributes of a ``maps.zarr``.

    Raises:
        StoreError: For a folder that is missing, damaged or of another kind or version.
    """
    with _opened(path) as dataset:
        attributes: dict[str, Any] = {str(k): v for k, v in dataset.attrs.items()}
        try:
            slots = [str(slot) for slot in dataset["time"].values]
        except Exception as error:
            raise _damaged(path, error) from error
    return grid_from_attributes(attributes, path), slots, attributes


def _dataset(
    concepts: Sequence[ConceptLayer],
    grid: MapGrid,
    time_slots: Sequence[str],
    attributes: Mapping[str, Any],
    zarr_format: Literal[2, 3],
) -> xr.Dataset:
    methods = sorted({layer.method for layer in concepts})
    tie = variable_attributes(grid)
    probability = _stacked([layer.probability for layer in concepts])
    similarity = _stacked([layer.similarity for layer in concepts])
    labels = {
        "probability": f"probability ({'; '.join(methods)})",
        "similarity": SIMILARITY_LABEL,
    }
    coordinates = coordinate_attributes()
    described = {
        layer.name: {
            "title": layer.title,
            "method": layer.method,
            "query": dict(layer.query),
        }
        for layer in concepts
    }
    return xr.Dataset(
        {
            name: (
                _DIMENSIONS,
                values,
                {"long_name": labels[name], "units": "1", **tie},
            )
            for name, values in (
                ("probability", probability),
                ("similarity", similarity),
            )
        },
        coords={
            "concept": (
                ("concept",),
                _strings([layer.name for layer in concepts], zarr_format),
                {"long_name": "concept", "titles": [layer.title for layer in concepts]},
            ),
            "time": (
                ("time",),
                _strings(time_slots, zarr_format),
                {"long_name": "time slot, month and hour"},
            ),
            "y": (("y",), grid.y, coordinates["y"]),
            "x": (("x",), grid.x, coordinates["x"]),
            SPATIAL_REF: ((), np.int32(0), spatial_ref_attributes(grid)),
        },
        attrs={
            "Conventions": "CF-1.11",
            **_plain(attributes),
            **group_attributes(grid),
            **dict(zip(_RESERVED, (SCHEMA, SCHEMA_VERSION, _plain(described)), strict=True)),
        },
    )


def _stacked(arrays: Sequence[NDArray[np.float32]]) -> Any:
    """Return one lazy array, written chunk by chunk, so that nothing is copied as a whole."""
    chunks = {"time": 1, "y": _CHUNK_CELLS, "x": _CHUNK_CELLS}
    lazy = [xr.DataArray(array, dims=_DIMENSIONS[1:]).chunk(chunks) for array in arrays]
    return xr.concat(lazy, dim="concept").data


def _opened(path: str | os.PathLike[str]) -> xr.Dataset:
    if not Path(path).is_dir():
        raise StoreError(f"no maps at {path}", remedy="make them with s2s-map run CONFIG")
    try:
        dataset: xr.Dataset = xr.open_zarr(Path(path), chunks=None, consolidated=False)
    except Exception as error:
        raise _damaged(path, error) from error
    schema = dataset.attrs.get(_RESERVED[0])
    version = dataset.attrs.get(_RESERVED[1])
    if schema != SCHEMA or version != SCHEMA_VERSION:
        dataset.close()
        raise StoreError(
            f"{path} holds {schema or 'something else'}, version {version}",
            expected=f"{SCHEMA}, version {SCHEMA_VERSION}",
            remedy="use the version of s2s-map that wrote it, or query again",
        )
    return dataset


def _damaged(path: str | os.PathLike[str], error: Exception) -> StoreError:
    return StoreError(
        f"cannot read {path} ({type(error).__name__}: {error})",
        remedy="remove it and query again: the embeddings are kept apart",
    )


def _values(dataset: xr.Dataset, name: str, index: int) -> NDArray[np.float32]:
    return np.asarray(dataset[name][index].values, dtype=np.float32)


def _strings(values: Sequence[str], zarr_format: Literal[2, 3]) -> NDArray[Any]:
    # GDAL names bands after strings of fixed length in format 2, and reads neither kind in 3,
    # where the variable length is the registered one.
    return np.array(list(values), dtype=np.dtypes.StringDType() if zarr_format == 3 else np.str_)


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value as JSON would give it back, so that what is written is what is read."""
    plain: dict[str, Any] = json.loads(json.dumps(value, default=str))
    return plain


def _check(concepts: Sequence[ConceptLayer], grid: MapGrid, time_slots: Sequence[str]) -> None:
    names = [layer.name for layer in concepts]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"maps take one or more layers of different names, got {names}")
    expected = (len(time_slots), *grid.shape)
    for layer in concepts:
        if layer.shape != expected:
            raise ValueError(f"layer {layer.name} has shape {layer.shape}, its maps {expected}")
