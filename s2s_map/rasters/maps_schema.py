"""Layout of ``maps.zarr``: made empty, filled region by region, described at the end.

Variables ``probability`` and ``similarity``, float32, NaN for no data, with dimensions
(concept, time, y, x), unsharded: GDAL before 3.13 cannot read shards. GDAL sees
``ZARR:"maps.zarr":/probability`` as one band per concept and time slot, the time slots of the
first concept first. Zarr format 2 is for older GIS: QGIS 3.22, with GDAL 3.6, reads no other, and
one band at a time, as ``ZARR:"maps.zarr":/probability:0:0`` (concept, time slot).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.errors import ZarrUserWarning

from s2s_map.embeddings.georeference import (
    coordinate_attributes,
    group_attributes,
    spatial_ref_attributes,
    variable_attributes,
)
from s2s_map.outputs.path import OutputPath, zarr_target
from s2s_map.outputs.zarr_files import MAP_DIMENSIONS, MAP_VARIABLES, SPATIAL_REF
from s2s_map.redaction import cleaned
from s2s_map.scoring.layers import SIMILARITY_LABEL, ConceptLayer
from s2s_map.tiling.grid import MapGrid

SCHEMA = "s2s-map/maps"
SCHEMA_VERSION = 1
WHAT, VERSION, CONCEPTS = "s2s_map:schema", "s2s_map:schema_version", "s2s_map:concepts"
"""Attributes of the group: its schema, the schema's version, and what every layer was asked."""

CHUNK_CELLS = 512
"""Side of a chunk in cells; one concept and one time slot each."""


def create_group(
    path: Path,
    names: Sequence[str],
    grid: MapGrid,
    time_slots: Sequence[str],
    zarr_format: Literal[2, 3],
) -> None:
    """Make the group with its coordinates and its variables, all cells without data."""
    import dask.array as da

    ny, nx = grid.shape
    shape = (len(names), len(time_slots), ny, nx)
    # One lazy piece, since none of it is ever computed.
    nothing = da.full(shape, np.nan, dtype=np.float32, chunks=shape)  # type: ignore[no-untyped-call]
    tie, coordinates = variable_attributes(grid.crs), coordinate_attributes()
    dataset = xr.Dataset(
        {name: (MAP_DIMENSIONS, nothing, {"units": "1", **tie}) for name in MAP_VARIABLES},
        coords={
            "concept": (("concept",), _strings(names, zarr_format), {"long_name": "concept"}),
            "time": (
                ("time",),
                _strings(time_slots, zarr_format),
                {"long_name": "time slot, month and hour"},
            ),
            "y": (("y",), grid.y, coordinates["y"]),
            "x": (("x",), grid.x, coordinates["x"]),
            SPATIAL_REF: ((), np.int32(0), spatial_ref_attributes(grid.crs, grid.transform)),
        },
    )
    layer = {
        "chunks": (1, 1, min(ny, CHUNK_CELLS), min(nx, CHUNK_CELLS)),
        "_FillValue": np.float32(np.nan),
    }
    plain: dict[str, Any] = {"_FillValue": None}
    encoding = {**dict.fromkeys(MAP_VARIABLES, layer), "x": plain, "y": plain}
    dataset.to_zarr(
        path,
        mode="w-",
        zarr_format=zarr_format,
        encoding=encoding,
        consolidated=False,
        compute=False,
    )


def variable(path: OutputPath, name: str) -> Any:
    """Open one of the variables for writing."""
    return zarr.open_array(store=zarr_target(path), path=name, mode="r+")


def describe_group(
    path: OutputPath, concepts: Sequence[ConceptLayer], grid: MapGrid, attributes: Mapping[str, Any]
) -> None:
    """Write what the group says of itself, and consolidate its metadata.

    Args:
        path: Where the maps lie.
        concepts: Its layers, in order.
        grid: The cells.
        attributes: Provenance, anything JSON can hold.
    """
    group = zarr.open_group(store=zarr_target(path), mode="r+", use_consolidated=False)
    described = {
        layer.name: {**layer.described(), "summary": layer.summary.as_dict()} for layer in concepts
    }
    group.update_attributes(
        {
            "Conventions": "CF-1.11",
            **_plain(attributes),
            **group_attributes(grid),
            WHAT: SCHEMA,
            VERSION: SCHEMA_VERSION,
            CONCEPTS: _plain(described),
        }
    )
    methods = "; ".join(sorted({layer.method for layer in concepts}))
    labels = {"probability": f"probability ({methods})", "similarity": SIMILARITY_LABEL}
    for name, label in labels.items():
        group[name].update_attributes({"long_name": label})
    group["concept"].update_attributes({"titles": [layer.title for layer in concepts]})
    with warnings.catch_warnings():
        # Zarr warns that other readers may ignore consolidated metadata; they may.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(group.store)


def _strings(values: Sequence[str], zarr_format: Literal[2, 3]) -> NDArray[Any]:
    # GDAL names bands after strings of fixed length in format 2, and reads neither kind in 3,
    # where the variable length is the registered one.
    return np.array(list(values), dtype=np.dtypes.StringDType() if zarr_format == 3 else np.str_)


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value as JSON would give it back, so that what is written is what is read."""
    plain: dict[str, Any] = json.loads(json.dumps(cleaned(value), default=str))
    return plain
