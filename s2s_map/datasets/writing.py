"""Writing rows as Parquet with the features of the published data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s2s_map.atomic import written_beside
from s2s_map.datasets import schema as names
from s2s_map.datasets.schema import Schema

RATE = 32_000
"""Samples a second that the published sets declare; what the bytes hold decides."""


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], schema: Schema) -> Path:
    """Write rows as one Parquet file, at once or not at all.

    Args:
        path: The file; its folder is made if missing.
        rows: At least one; all with the same columns. Media as {"bytes": ..., "path": ...}.
        schema: Says which columns are pictures.
    """
    import datasets
    from pyarrow.parquet import write_table

    features = _features(rows[0], schema)
    # Media are encoded already; `datasets` would want a decoder to write them.
    media = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    plain = {
        name: media if isinstance(kind, datasets.Audio | datasets.Image) else kind
        for name, kind in features.items()
    }
    columns = {name: [row[name] for row in rows] for name in features}
    made = datasets.Dataset.from_dict(columns, features=datasets.Features(plain))
    table = made.data.table.replace_schema_metadata(features.arrow_schema.metadata)
    with written_beside(path) as partial:
        # Few rows to a group: they are large, and a stream holds a whole group in memory.
        write_table(table, partial, row_group_size=100)
    return path


def _features(row: Mapping[str, Any], schema: Schema) -> Any:
    import datasets

    kinds: dict[str, Any] = {name: datasets.Image() for name in schema.images.values()}
    kinds |= {names.LATITUDE: datasets.Value("float64"), names.LONGITUDE: datasets.Value("float64")}
    kinds[names.AUDIO] = datasets.Audio(RATE)
    if names.MEL in row:
        kinds[names.MEL] = datasets.Array4D(np.shape(row[names.MEL]), "float32")
    return datasets.Features({name: kinds.get(name, datasets.Value("string")) for name in row})
