"""Layout of the embeddings store on disk, and the check that a folder has it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from affine import Affine
from numpy.typing import DTypeLike, NDArray
from odc.geo.crs import CRS
from zarr.codecs import BloscCodec, Crc32cCodec

from s2s_map.embeddings.georeference import (
    coordinate_attributes,
    grid_from_attributes,
    group_attributes,
    spatial_ref_attributes,
    variable_attributes,
)
from s2s_map.errors import StoreError
from s2s_map.outputs.checksums import file_sha256
from s2s_map.outputs.path import OutputPath
from s2s_map.outputs.zarr_files import (
    EMBEDDING,
    EMBEDDINGS_SCHEMA,
    ROOT,
    SCHEMA_KEY,
    SPATIAL_REF,
    STORE_ID,
)
from s2s_map.tiling.grid import MapGrid

PROVENANCE = "s2s_map:provenance"
"""Key of the group's attributes: what was given at creation, anything JSON can hold."""

CHECKSUM = "s2s_map:metadata_sha256"
"""Key of the group's attributes: `metadata_checksum`."""

FILES = "s2s_map:files_sha256"
"""Key of the group's attributes: SHA-256 of each file beside the embeddings and their metadata."""

SCHEMA_VERSION = 1

_DIMENSIONS = ("time", "y", "x", "dim")
_CHUNK_CELLS = 64
_KEYS = (
    SCHEMA_KEY,
    "s2s_map:schema_version",
    "s2s_map:time_slots",
    PROVENANCE,
)


class DamagedMetadataError(StoreError):
    """Metadata of a store that are not what was written."""


@dataclass(frozen=True)
class StoreSchema:
    """What the metadata of a store say.

    Attributes:
        array: Embeddings, shape (time, y, x, dim).
        time_slots: Labels of the time slots.
        attributes: Provenance given at creation.
    """

    array: zarr.Array[Any]
    time_slots: tuple[str, ...]
    attributes: dict[str, Any]


def chunk_cells(block_cells: int) -> int:
    """Return the side in cells of the chunks within a shard, the unit that readers decompress.

    The largest divisor of the block's side up to 64; a block of an awkward side, such as a prime
    number, is one chunk, since thousands of tiny ones would be slow.
    """
    best = max(n for n in range(1, min(block_cells, _CHUNK_CELLS) + 1) if block_cells % n == 0)
    return best if best >= min(block_cells, 16) else block_cells


def create_group(
    path: Path,
    grid: MapGrid,
    dim: int,
    time_slots: Sequence[str],
    attributes: Mapping[str, Any],
    dtype: DTypeLike,
) -> None:
    """Make the group, its coordinates and its empty array of embeddings.

    A `STORE_ID` among the attributes is kept beside them.

    Raises:
        ValueError: Without a time slot, for repeated ones, or a dtype that is not floating.
    """
    slots = [str(slot) for slot in time_slots]
    if not slots or len(set(slots)) != len(slots):
        raise ValueError(f"a store takes one or more different time slots, got {slots}")
    if dim < 1 or np.dtype(dtype).kind != "f":
        raise ValueError(f"a store takes floats of at least one dim, got {dtype} and {dim}")
    described = dict(attributes)
    store_id = described.pop(STORE_ID, None)
    group = zarr.create_group(
        store=path,
        zarr_format=3,
        attributes={
            "Conventions": "CF-1.11",
            "title": "Embeddings of satellite imagery, comparable to those of sounds and texts",
            **group_attributes(grid),
            **dict(
                zip(
                    _KEYS,
                    (EMBEDDINGS_SCHEMA, SCHEMA_VERSION, slots, described),
                    strict=True,
                )
            ),
        },
    )
    add_coordinates(group, (grid.y, grid.x), grid.crs, grid.transform, slots)
    ny, nx = grid.shape
    chunk, block = chunk_cells(grid.block_cells), grid.block_cells
    group.create_array(
        EMBEDDING,
        shape=(len(slots), ny, nx, dim),
        dtype=np.dtype(dtype),
        chunks=(1, chunk, chunk, dim),
        shards=(len(slots), block, block, dim),
        # Measured on embeddings: byte shuffling and a low level give most of the gain.
        # Each chunk ends in its checksum, which any library checks that reads it.
        compressors=(BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"), Crc32cCodec()),
        fill_value=np.nan,
        dimension_names=_DIMENSIONS,
        attributes={
            "long_name": "weighted mean of unit embeddings",
            "units": "1",
            "coordinates": SPATIAL_REF,
            **variable_attributes(grid.crs),
        },
        config={"write_empty_chunks": False},
    )
    files = {file.relative_to(path).as_posix(): _sha256(file) for file in _beside(path)}
    group.attrs.update({FILES: dict(sorted(files.items()))})
    group.attrs.update({CHECKSUM: metadata_checksum(path, group.attrs.asdict())})
    if store_id:
        (path / EMBEDDING / STORE_ID).write_text(f"{store_id}\n", encoding="ascii")


def _beside(path: Path) -> list[Path]:
    kept = (path / ROOT, path / EMBEDDING / ROOT)
    return [file for file in path.rglob("*") if file.is_file() and file not in kept]


def metadata_checksum(where: OutputPath, attributes: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hexadecimal, of what decides how a store is read.

    Args:
        where: The group; the metadata of its embeddings are read there.
        attributes: Attributes of the group; their own checksum does not count.

    Raises:
        OSError: If the metadata of the embeddings cannot be read.
        ValueError: If they are not JSON.
    """
    array = json.loads((where / EMBEDDING / ROOT).read_text(encoding="utf-8"))
    counted = {key: value for key, value in attributes.items() if key != CHECKSUM}
    return hashlib.sha256(json.dumps([counted, array], sort_keys=True).encode()).hexdigest()


def check_metadata(where: OutputPath) -> None:
    """Compare the metadata of a store with their checksum; older ones have none.

    Raises:
        DamagedMetadataError: If they are not what was written.
        OutputError: If an object store cannot be read.
    """
    try:
        attributes: dict[str, Any] = json.loads((where / ROOT).read_text(encoding="utf-8")).get(
            "attributes", {}
        )
        if not any(key in attributes for key in (*_KEYS, CHECKSUM)):
            return  # Of somebody else, as will be said.
        there = metadata_checksum(where, attributes)
        array = (where / EMBEDDING / ROOT).read_text(encoding="utf-8")
        sealed = attributes.get(CHECKSUM)
        # Those with checksums in their chunks have always had one of their metadata.
        sound = sealed == there if sealed is not None else '"crc32c"' not in _inner_codecs(array)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise damaged_metadata(where)


def _inner_codecs(array: str) -> str:
    return json.dumps(json.loads(array)["codecs"][0]["configuration"]["codecs"])


def damaged_metadata(where: OutputPath) -> DamagedMetadataError:
    """Return the error that the metadata of a store are damaged."""
    return DamagedMetadataError(
        f"the metadata of {where} are damaged",
        remedy="start the same run again (s2s-map run CONFIG), which writes them again",
    )


def damaged_files(where: OutputPath, attributes: Mapping[str, Any]) -> list[str]:
    """Return which files beside the embeddings, such as coordinates, are not what was written.

    Args:
        where: The group.
        attributes: Its attributes.
    """
    return [
        name
        for name, sha256 in attributes.get(FILES, {}).items()
        if _sha256(where / name) != sha256
    ]


def _sha256(path: OutputPath) -> str:
    try:
        return file_sha256(path)
    except OSError:
        return ""


def read_schema(group: zarr.Group, where: OutputPath) -> StoreSchema:
    """Return what a store's metadata say.

    Raises:
        StoreError: For another kind of Zarr, another schema version, or incomplete metadata.
    """
    attributes = group.attrs.asdict()
    if attributes.get(_KEYS[0]) != EMBEDDINGS_SCHEMA:
        raise StoreError(
            f"{where} is not an embeddings store",
            remedy="give the folder of an s2s-map run",
        )
    version = attributes.get(_KEYS[1])
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{where} has schema version {version}",
            expected=f"version {SCHEMA_VERSION}",
            remedy="use the version of s2s-map that wrote it, or embed again with --overwrite",
        )
    array = group.get(EMBEDDING)
    slots, provenance = attributes.get(_KEYS[2]), attributes.get(_KEYS[3])
    if (
        not isinstance(array, zarr.Array)
        or array.ndim != len(_DIMENSIONS)
        or array.dtype.kind != "f"
        or not isinstance(slots, list)
        or not isinstance(provenance, dict)
    ):
        raise StoreError(
            f"{where} lacks its array or attributes",
            remedy="it is damaged: run again with --overwrite",
        )
    return StoreSchema(array, tuple(str(slot) for slot in slots), provenance)


type StoreMark = tuple[str | None, tuple[int, int, int] | None]
"""The id of a store, and its rows and columns of blocks with the cells of one; None: not known."""


def read_store_mark(path: OutputPath) -> StoreMark:
    """Return the random name of a store and its blocks; None for what it does not say.

    Older stores have no name, and one that is not there has neither.

    Raises:
        OutputError: If an object store cannot be read.
    """
    try:
        attributes = json.loads((path / ROOT).read_text(encoding="utf-8"))["attributes"]
        found = _kept_id(path) or attributes[PROVENANCE].get(STORE_ID)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, None
    blocks: tuple[int, int, int] | None
    try:
        grid = grid_from_attributes(attributes, path)
        blocks = (*grid.block_shape, grid.block_cells**2)
    except StoreError:
        blocks = None
    return found if isinstance(found, str) else None, blocks


def _kept_id(path: OutputPath) -> str | None:
    try:
        return (path / EMBEDDING / STORE_ID).read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def add_coordinates(
    group: zarr.Group,
    centres: tuple[NDArray[np.float64], NDArray[np.float64]],
    crs: CRS,
    transform: Affine,
    slots: Sequence[str],
) -> None:
    """Add the coordinates of cells, and their CRS, to a group.

    Args:
        group: Of a store, or of a level of its overviews.
        centres: y and x of the centres of rows and columns, in metres.
        crs: Their CRS.
        transform: From columns and rows to x and y.
        slots: Labels of the time slots.
    """
    described = coordinate_attributes()
    for name, values in zip(("y", "x"), centres, strict=True):
        group.create_array(
            name, data=values, dimension_names=(name,), attributes=dict(described[name])
        )
    group.create_array(
        "time",
        data=np.array(slots, dtype=np.dtypes.StringDType()),
        dimension_names=("time",),
        attributes={"long_name": "time slot, month and hour"},
    )
    group.create_array(
        SPATIAL_REF,
        data=np.array(0, dtype=np.int32),
        dimension_names=(),
        attributes=spatial_ref_attributes(crs, transform),
    )
