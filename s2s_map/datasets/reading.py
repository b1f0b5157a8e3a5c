"""Opening a data set: from the hub or a folder, whole or streamed, only the columns wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import batched
from pathlib import Path
from typing import Any

from s2s_map.datasets import schema as names
from s2s_map.datasets.sample import BrokenRowError, SkippedRow, SoundSample, read_row
from s2s_map.datasets.schema import (
    SCHEMAS,
    SPLIT_NAMES,
    Schema,
    Split,
    Wanted,
    check_columns,
    schema_of,
    split_name,
)
from s2s_map.errors import DataError


class SoundDataset:
    """Samples of one split.

    Iterating gives the samples that can be used; the others are noted in `skipped`.

    Attributes:
        schema: What its columns mean.
        split: Which split.
        wanted: What is decoded.
        skipped: Rows that were met and cannot be used, in the order they were met.
        streamed: Whether rows come one after the other only.
    """

    def __init__(self, rows: Any, schema: Schema, split: Split, wanted: Wanted) -> None:
        self.schema = schema
        self.split = split
        self.wanted = wanted
        self.skipped: list[SkippedRow] = []
        self._rows = rows
        self.streamed = not hasattr(rows, "__len__")

    def __len__(self) -> int:
        """Rows of the split, broken ones included.

        Raises:
            TypeError: If they are streamed: see `Schema.sizes` for the published sizes.
        """
        if self.streamed:
            raise TypeError("a streamed data set does not know its length")
        return len(self._rows)

    def __iter__(self) -> Iterator[SoundSample]:
        """Yield the usable samples in order."""
        for row in self._rows:
            found = self._decode(row)
            if isinstance(found, SoundSample):
                yield found

    def read(self, index: int) -> SoundSample | SkippedRow:
        """Read one row; a broken one is noted and described.

        Raises:
            TypeError: If rows are streamed.
        """
        if self.streamed:
            raise TypeError("a streamed data set has no rows by number")
        return self._decode(self._rows[index])

    def files(self) -> int:
        """How many files, or other parts that can be read alone, a streamed split has."""
        return int(self._rows.num_shards)

    def file(self, index: int, first: int = 0) -> Iterator[Mapping[str, Any]]:
        """Undecoded rows of one file of a streamed split.

        Args:
            index: Which file.
            first: How many of its rows to leave out; they are read and dropped.
        """
        part = self._rows.shard(num_shards=self.files(), index=index)
        yield from part.skip(first) if first else part

    def holding(self, rows: Sequence[Mapping[str, Any]]) -> SoundDataset:
        """Some undecoded rows of this split, by number."""
        return SoundDataset(rows, self.schema, self.split, self.wanted)

    def portions(self, size: int) -> Iterator[SoundDataset]:
        """All rows in order, so many in memory at a time."""
        for part in batched(self._rows, size):
            yield self.holding(part)

    def texts(self, *columns: str) -> Iterator[str]:
        """All texts of some columns, such as ``audio_caption``, without decoding anything else."""
        if self.streamed:
            for row in self._rows:
                yield from (row[column] for column in columns if row[column])
        else:
            for column in columns:
                yield from (text for text in self._rows[column] if text)

    def places(self) -> tuple[list[float], list[float]]:
        """Longitudes and latitudes of all rows, as they are in the set."""
        return list(self._rows[names.LONGITUDE]), list(self._rows[names.LATITUDE])

    def _decode(self, row: Mapping[str, Any]) -> SoundSample | SkippedRow:
        try:
            return read_row(row, self.schema, self.wanted)
        except BrokenRowError as error:
            skipped = SkippedRow(str(row.get(names.KEY)), error.found)
            self.skipped.append(skipped)
            return skipped


def open_dataset(
    data: str | Path,
    split: str,
    wanted: Wanted,
    *,
    streaming: bool = False,
    cache: Path | None = None,
) -> SoundDataset:
    """Open one split of a data set.

    Args:
        data: Repository on the hub, such as "MVRL/GeoSound"; or a folder with Parquet files
            (``train-*.parquet``, ``data/train-*.parquet`` or ``train/*.parquet``) or with what
            `datasets` saved; or one Parquet file, which is the split whatever it is called.
        split: "train", "val" or "test".
        wanted: What to read of each row.
        streaming: Read rows one after the other and keep nothing. Else the wanted columns are
            kept, memory-mapped, in the `datasets` library's cache.
        cache: Folder of that cache; None: where the library keeps it (HF_DATASETS_CACHE).

    Raises:
        DataError: If there is no such set or split, it cannot be reached, or columns are missing.
    """
    which = split_name(split)
    path = Path(data).expanduser()
    if path.exists():
        rows, columns = _open_local(path, which, wanted, streaming, cache)
    else:
        rows, columns = _open_hub(str(data), which, wanted, streaming, cache)
    schema = schema_of(columns)
    settled = wanted.settled(columns, schema)
    return SoundDataset(_undecoded(rows, schema), schema, which, settled)


def parquet_files(folder: Path, split: Split) -> list[Path]:
    """Parquet files of a split in a folder, in order; empty if there are none."""
    aliases = [name for name, meant in SPLIT_NAMES.items() if meant == split]
    patterns = [
        pattern.format(name)
        for name in aliases
        for pattern in ("{}.parquet", "{}-*.parquet", "{}/*.parquet")
    ]
    return sorted(
        {file for place in (folder, folder / "data") for p in patterns for file in place.glob(p)}
    )


def _open_local(
    path: Path, split: Split, wanted: Wanted, streaming: bool, cache: Path | None
) -> tuple[Any, Sequence[str]]:
    if (path / "dataset_dict.json").is_file() or (path / "dataset_info.json").is_file():
        return _open_saved(path, split, wanted, streaming)
    files = [path] if path.is_file() else parquet_files(path, split)
    if not files:
        raise DataError(
            f"no Parquet files of the split {split} in {path}",
            expected=f"{split}-*.parquet, data/{split}-*.parquet or {split}/*.parquet",
        )
    columns = _parquet_columns(files[0])
    needed = _needed(columns, wanted, str(path))
    import datasets

    rows = datasets.load_dataset(
        "parquet",
        data_files={split: [str(file) for file in files]},
        split=split,
        columns=list(needed),
        streaming=streaming,
        cache_dir=None if cache is None else str(cache),
    )
    return rows, columns


def _parquet_columns(file: Path) -> list[str]:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_schema

    try:
        return list(read_schema(file).names)
    except (ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{file} does not open as Parquet ({reason})") from None


def _open_saved(
    path: Path, split: Split, wanted: Wanted, streaming: bool
) -> tuple[Any, Sequence[str]]:
    import datasets

    found: Any = datasets.load_from_disk(str(path))
    if isinstance(found, datasets.DatasetDict):
        known = {SPLIT_NAMES[name]: rows for name, rows in found.items() if name in SPLIT_NAMES}
        if split not in known:
            raise DataError(f"no split {split} in {path}", expected=", ".join(map(str, found)))
        found = known[split]
    columns = found.column_names
    found = found.select_columns(list(_needed(columns, wanted, str(path))))
    return (found.to_iterable_dataset() if streaming else found), columns


def _open_hub(
    repository: str, split: Split, wanted: Wanted, streaming: bool, cache: Path | None
) -> tuple[Any, Sequence[str]]:
    import datasets

    place = None if cache is None else str(cache)
    try:
        builder = datasets.load_dataset_builder(repository, cache_dir=place)
        columns = list(builder.info.features or ())
        known = next((s for s in SCHEMAS if s.repository.lower() == repository.lower()), None)
        if not columns and known is not None:
            # What a repository does not declare is taken from the published schema.
            settled = wanted.settled(known.captions.values(), known)
            columns = list(settled.columns(known))
        needed = _needed(columns, wanted, repository)
        there = list(builder.info.splits or (split,))
        name = next((n for n in there if SPLIT_NAMES.get(str(n)) == split), None)
        if name is None:
            raise DataError(f"no split {split} in {repository}", expected=", ".join(there))
        rows = datasets.load_dataset(
            repository,
            split=str(name),
            columns=list(needed),
            streaming=streaming,
            cache_dir=place,
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"cannot open the data set {repository} ({reason[:160]})",
            expected="a folder of Parquet files, or a repository that can be reached",
            remedy="check the path; without a network, copy the Parquet files into a folder",
        ) from None
    return rows, columns


def _needed(columns: Sequence[str], wanted: Wanted, where: str) -> tuple[str, ...]:
    schema = schema_of(columns)
    needed = wanted.settled(columns, schema).columns(schema)
    check_columns(columns, needed, where)
    return needed


def _undecoded(rows: Any, schema: Schema) -> Any:
    """Leave media as bytes: a broken one is then one skipped row, not the end of the reading."""
    import datasets

    features = rows.features or {}
    for name in features:
        if name in schema.images.values() and isinstance(features[name], datasets.Image):
            rows = rows.cast_column(name, datasets.Image(decode=False))
        if name == names.AUDIO and isinstance(features[name], datasets.Audio):
            rows = rows.cast_column(name, datasets.Audio(decode=False))
    return rows
