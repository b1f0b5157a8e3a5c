"""Which files make up the two Zarr groups of a run, by their names."""

from __future__ import annotations

import json
import re
from pathlib import Path

from s2s_map.outputs.overview_seals import SEALS
from s2s_map.outputs.path import OutputPath

ROOT = "zarr.json"
"""The metadata of a group itself, in version 3 of the format."""

EMBEDDING = "embedding"
"""Name of the array of embeddings."""

EMBEDDINGS_SCHEMA = "s2s-map/embeddings"
SCHEMA_KEY = "s2s_map:schema"
"""Attribute of a group: its schema."""

STORE_ID = "store_id"
"""File beside the metadata of the embeddings: a random name, which tells a store from one that was
there before it. Not in the metadata, which are the same for the same config; stores of version
0.1.0 have it in their attributes."""

SPATIAL_REF = "spatial_ref"
"""Name of the variable that holds the grid's CRS, as rioxarray and GDAL read it."""

OVERVIEWS = "overviews"
"""Name of the group of overviews, in that of the embeddings; each level is a group named by its
factor."""

COUNTS = "counts"
"""Name of the array that says how many valid finest cells each cell of an overview stands for."""

MAP_VARIABLES = ("probability", "similarity")
MAP_DIMENSIONS = ("concept", "time", "y", "x")

# Metadata, chunks, and what zarr leaves of a chunk that it was killed at.
_EMBEDDINGS_FILE = re.compile(
    rf"(?:{OVERVIEWS}/\d+/)?"
    rf"((?:{EMBEDDING}|{COUNTS}|time|y|x|{SPATIAL_REF})/)?zarr\.json(\.[0-9a-f]+\.partial)?"
    rf"|{EMBEDDING}/{STORE_ID}"
    rf"|(?:{OVERVIEWS}/\d+/)?"
    rf"(?:{EMBEDDING}|{COUNTS}|time|y|x|{SPATIAL_REF})/c(/\d+)*(\.[0-9a-f]+\.partial)?"
    rf"|{OVERVIEWS}/(zarr\.json|{SEALS})"
)
_MAP_ARRAYS = "|".join((*MAP_VARIABLES, *MAP_DIMENSIONS, SPATIAL_REF))
# Metadata and chunks of either version of the format.
_MAPS_FILE = re.compile(
    rf"((?:{_MAP_ARRAYS})/)?(zarr\.json|\.zgroup|\.zarray|\.zattrs|\.zmetadata)"
    rf"|(?:{_MAP_ARRAYS})/(c(/\d+)*|\d+(\.\d+)*)"
)


def embeddings_exist(path: OutputPath) -> bool:
    """Return whether there is a store of embeddings at a path, made to its end."""
    # In an object store the group's own metadata are put last. Where a folder has none at all,
    # a writer was late that had lost it.
    metadata = (path / ROOT, path / EMBEDDING / ROOT)
    return any(file.is_file() for file in metadata[: 1 + isinstance(path, Path)])


def may_be_embeddings(path: OutputPath) -> bool:
    """Return whether there is something at a path that should be a store of embeddings."""
    return path.is_dir() if isinstance(path, Path) else embeddings_exist(path)


def is_embeddings(path: OutputPath) -> bool:
    """Return whether the metadata of a store of embeddings lie at a path, of any version."""
    try:
        content = json.loads((path / ROOT).read_text(encoding="utf-8"))
        return bool(content["attributes"][SCHEMA_KEY] == EMBEDDINGS_SCHEMA)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def is_embeddings_file(name: str) -> bool:
    """Return whether a file of this name, relative to a store of embeddings, is part of it."""
    return _EMBEDDINGS_FILE.fullmatch(name) is not None


def is_maps_file(name: str) -> bool:
    """Return whether a file of this name, relative to the group of maps, is part of it."""
    return _MAPS_FILE.fullmatch(name) is not None
