"""Layout of overviews on disk: groups within the store, told of by GeoZarr's multiscales.

The array of embeddings keeps its place. Each level is a group ``overviews/<factor>`` with an array
of the same name, and one of counts.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from odc.geo.geobox import GeoBox
from zarr.codecs import BloscCodec, Crc32cCodec

from s2s_map.embeddings.georeference import (
    spatial_attributes,
    variable_attributes,
)
from s2s_map.embeddings.overview_layout import (
    LevelLayout,
    level_geobox,
    level_layout,
    level_shape,
    plan_levels,
)
from s2s_map.embeddings.schema import (
    CHECKSUM,
    FILES,
    add_coordinates,
    chunk_cells,
    metadata_checksum,
)
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.embeddings.stored_values import naming_damage
from s2s_map.errors import StoreError
from s2s_map.outputs.atomic import output_errors, put_files, remove_partial_files
from s2s_map.outputs.checksums import file_sha256
from s2s_map.outputs.path import OutputPath, wrapped
from s2s_map.outputs.zarr_files import COUNTS, EMBEDDING, OVERVIEWS, ROOT, SPATIAL_REF

FACTORS = "s2s_map:overviews"
"""Key of the store's attributes: the factors of its levels, finest first."""

_MADE_AGAIN = "start the same run again, which writes its metadata again"
_CONVENTIONS = (
    (
        "zarr-conventions/multiscales",
        "d35379db-88df-4056-af3a-620245f8e347",
        "multiscales",
        "Multiscale layout of zarr datasets",
    ),
    (
        "zarr-experimental/geo-proj",
        "f17cb550-5864-4468-aeb7-f3180cfb622f",
        "proj:",
        "Coordinate reference system information for geospatial data",
    ),
    (
        "zarr-conventions/spatial",
        "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
        "spatial:",
        "Spatial coordinate information",
    ),
)


def add_levels(store: EmbeddingsStore, most_cells: int) -> EmbeddingsStore:
    """Give a store without overviews the metadata of its levels, which are empty yet.

    Args:
        store: The store; its embeddings stay as they are.
        most_cells: See `plan_levels`.

    Returns:
        The store, opened again; as it was if it has levels or takes none.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    planned = plan_levels(store.grid, most_cells)
    if not planned or store_factors(store):
        return store
    path, attributes = store.path, _attributes(store)
    with (
        output_errors(path),
        wrapped(path),
        tempfile.TemporaryDirectory(prefix="s2s-map-") as name,
    ):
        made = Path(name) / OVERVIEWS
        group = zarr.create_group(store=made, zarr_format=3)
        for level in planned:
            _create_level(group, level, store)
        remove_partial_files(path / OVERVIEWS)
        put_files(made, path / OVERVIEWS)
        files = {
            f"{OVERVIEWS}/{file.relative_to(made).as_posix()}": file_sha256(file)
            for file in made.rglob("*")
            if file.is_file()
        }
        changed: dict[str, Any] = {
            FACTORS: [level.factor for level in planned],
            "zarr_conventions": [_convention(*about) for about in _CONVENTIONS],
            "multiscales": _multiscales(store, planned),
        }
        if FILES in attributes:
            changed[FILES] = dict(sorted({**attributes[FILES], **files}.items()))
        if CHECKSUM in attributes:
            whole = json.loads(json.dumps({**attributes, **changed}))
            changed[CHECKSUM] = metadata_checksum(path, whole)
        # Last: what is told of is there.
        store.group.attrs.update(changed)
    return EmbeddingsStore.open(path)


def store_factors(store: EmbeddingsStore) -> tuple[int, ...]:
    """Return the factors of the levels that a store has, finest first.

    Raises:
        StoreError: If its attributes say what no run writes.
    """
    found = _attributes(store).get(FACTORS, [])
    expected = [2 ** (n + 1) for n in range(len(found))] if isinstance(found, list) else []
    if found != expected:
        raise StoreError(f"the overviews of {store.path} are damaged", remedy=_MADE_AGAIN)
    return tuple(expected)


def open_level(
    store: EmbeddingsStore, factor: int
) -> tuple[LevelLayout, zarr.Array[Any], zarr.Array[Any]]:
    """Open the vectors and counts of a level.

    Raises:
        StoreError: If their metadata are not what was written.
    """
    place = f"{OVERVIEWS}/{factor}"
    sealed = _attributes(store).get(FILES, {})
    arrays = []
    with naming_damage(store.path, f"the overviews of factor {factor}", _MADE_AGAIN):
        for name in (EMBEDDING, COUNTS):
            metadata = f"{place}/{name}/{ROOT}"
            known = sealed.get(metadata)
            if known is not None and file_sha256(store.path / metadata) != known:
                raise ValueError(f"{metadata} is not what was written")
            arrays.append(store.group[f"{place}/{name}"])
        vectors, counts = arrays
        shape = (len(store.time_slots), *level_shape(store.grid, factor))
        layout = level_layout(store.grid, factor)
        if (
            not isinstance(vectors, zarr.Array)
            or not isinstance(counts, zarr.Array)
            or (vectors.shape, vectors.dtype) != ((*shape, store.dim), store.dtype)
            or (counts.shape, counts.dtype) != (shape, np.dtype(np.uint32))
            or {array.shards[1:3] for array in (vectors, counts) if array.shards}
            != {(layout.shard_cells, layout.shard_cells)}
        ):
            raise ValueError("other arrays than this version writes")
    return layout, vectors, counts


def _attributes(store: EmbeddingsStore) -> dict[str, Any]:
    return dict(store.group.attrs.asdict())


def _create_level(group: zarr.Group, level: LevelLayout, store: EmbeddingsStore) -> None:
    geobox, slots = level_geobox(store.grid, level.factor), store.time_slots
    crs, transform, (ny, nx) = store.grid.crs, geobox.transform, level.shape
    made = group.create_group(
        str(level.factor),
        attributes={
            "Conventions": "CF-1.11",
            "title": f"Means of the embeddings over {level.factor} x {level.factor} cells",
            **spatial_attributes(crs, transform, level.shape),
        },
    )
    add_coordinates(made, _centres(geobox), crs, transform, slots)
    chunk, shard, dim = chunk_cells(level.shard_cells), level.shard_cells, store.dim
    tied = {"coordinates": SPATIAL_REF, **variable_attributes(crs)}
    # As the embeddings are stored, see `create_group`.
    codecs = (BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"), Crc32cCodec())
    made.create_array(
        EMBEDDING,
        shape=(len(slots), ny, nx, dim),
        dtype=store.dtype,
        chunks=(1, chunk, chunk, dim),
        shards=(len(slots), shard, shard, dim),
        compressors=codecs,
        fill_value=np.nan,
        dimension_names=("time", "y", "x", "dim"),
        attributes={"long_name": "mean of the embeddings of valid cells", "units": "1", **tied},
        config={"write_empty_chunks": False},
    )
    made.create_array(
        COUNTS,
        shape=(len(slots), ny, nx),
        dtype=np.uint32,
        chunks=(1, shard, shard),
        shards=(len(slots), shard, shard),
        compressors=codecs,
        fill_value=0,
        dimension_names=("time", "y", "x"),
        attributes={"long_name": "valid cells of the finest level", "units": "1", **tied},
        config={"write_empty_chunks": False},
    )


def _centres(geobox: GeoBox) -> tuple[Any, Any]:
    t, (ny, nx) = geobox.transform, geobox.shape
    return t.f + (np.arange(ny) + 0.5) * t.e, t.c + (np.arange(nx) + 0.5) * t.a


def _convention(repository: str, uuid: str, name: str, about: str) -> dict[str, str]:
    schema = f"https://raw.githubusercontent.com/{repository}/refs/tags/v1/schema.json"
    spec = f"https://github.com/{repository}/blob/v1/README.md"
    return {
        "schema_url": schema,
        "spec_url": spec,
        "uuid": uuid,
        "name": name,
        "description": about,
    }


def _multiscales(store: EmbeddingsStore, levels: Sequence[LevelLayout]) -> dict[str, Any]:
    layout = [_layout_entry(store, EMBEDDING, 1, None)]
    for level in levels:
        below = layout[-1]["asset"]
        asset = f"{OVERVIEWS}/{level.factor}/{EMBEDDING}"
        layout.append(_layout_entry(store, asset, level.factor, below))
    return {"layout": layout, "resampling_method": "average"}


def _layout_entry(
    store: EmbeddingsStore, asset: str, factor: int, below: str | None
) -> dict[str, Any]:
    # GDAL asks for a number per dimension: time, y, x, dim.
    scale = 1.0 if below is None else 2.0
    return {
        "asset": asset,
        **({} if below is None else {"derived_from": below}),
        "transform": {"scale": [1.0, scale, scale, 1.0], "translation": [0.0] * 4},
        "spatial:shape": list(level_shape(store.grid, factor)),
        "spatial:transform": list(level_geobox(store.grid, factor).transform)[:6],
    }


def overviews_group(store: EmbeddingsStore) -> OutputPath:
    """Return where the overviews of a store lie."""
    return store.path / OVERVIEWS
