"""The Zarr store of a region's embeddings: (time, y, x, dim) in float16, one shard per block."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import DTypeLike, NDArray
from zarr.codecs import Crc32cCodec

from s2s_map.embeddings.georeference import grid_from_attributes
from s2s_map.embeddings.schema import (
    CHECKSUM,
    PROVENANCE,
    check_metadata,
    create_group,
    damaged_files,
    damaged_metadata,
    metadata_checksum,
    read_schema,
    read_store_mark,
)
from s2s_map.errors import OutputError, StoreError
from s2s_map.outputs.atomic import output_errors, put_files, replacing_folder
from s2s_map.outputs.durable import check_still_there, make_durable
from s2s_map.outputs.path import ObjectPath, OutputPath, output_path, wrapped, zarr_target
from s2s_map.outputs.shards import e_tag, e_tags, file_crc, remove_leftovers
from s2s_map.outputs.zarr_files import EMBEDDING, ROOT, embeddings_exist, may_be_embeddings
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.grid import MapGrid


class EmbeddingsStore:
    """Embeddings of the cells of a grid, on disk or in an object store.

    A cell holds the weighted mean of unit embeddings, not renormalised: its dot product with a
    unit query is the mean of the query's similarities. NaN is no data.

    One block is one shard, the smallest unit that writers in different threads or processes may
    write at the same time. A block that is NaN throughout leaves no file, so a missing file does
    not mean unfinished, nor a present one finished: keep the checksums that `write_block` returns
    and compare them with `checksum`.

    Make one with `create` or `open`. It pickles as its path and is opened again where it arrives.
    """

    def __init__(self, path: OutputPath, group: zarr.Group) -> None:
        schema = read_schema(group, path)
        self._path, self._group = path, group
        self._array = schema.array
        self._grid = grid_from_attributes(group.attrs.asdict(), path)
        self._time_slots = schema.time_slots
        self._attributes = schema.attributes
        expected = (len(self._time_slots), *self._grid.shape)
        if self._array.shape[:3] != expected:
            raise StoreError(
                f"{path} holds an array of shape {self._array.shape}",
                expected=f"{expected} from its attributes",
                remedy="it is damaged: run again with --overwrite",
            )

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str] | ObjectPath,
        grid: MapGrid,
        dim: int,
        time_slots: Sequence[str],
        attributes: Mapping[str, Any],
        dtype: DTypeLike = np.float16,
    ) -> EmbeddingsStore:
        """Make an empty store and open it; it appears at `path` complete or not at all.

        Args:
            path: Folder to make, usually ``embeddings.zarr``.
            grid: Cells and blocks.
            dim: Length of an embedding.
            time_slots: Labels of the time slots, at least one.
            attributes: Provenance, anything JSON can hold; kept as given.
            dtype: float16, or float32 for twice the space.

        Raises:
            OutputError: If something is there already or the folder cannot be written.
        """
        target = output_path(path)
        if embeddings_exist(target):
            raise OutputError(f"{target} exists", remedy="resume the run, or use --overwrite")
        with replacing_folder(target, last=ROOT) as partial:
            create_group(partial, grid, dim, time_slots, attributes, dtype)
        return cls.open(target)

    @staticmethod
    def restore(
        path: OutputPath,
        grid: MapGrid,
        dim: int,
        time_slots: Sequence[str],
        attributes: Mapping[str, Any],
        dtype: DTypeLike = np.float16,
    ) -> None:
        """Write everything of a store but its blocks, which stay as they are.

        Args:
            path: The store.
            grid: Cells and blocks, as for `create`.
            dim: Length of an embedding.
            time_slots: Labels of the time slots.
            attributes: Provenance.
            dtype: float16, or float32.

        Raises:
            OutputError: For a full disk, a read-only folder and the like.
        """
        with output_errors(path), tempfile.TemporaryDirectory(prefix="s2s-map-") as name:
            made = Path(name) / path.name
            create_group(made, grid, dim, time_slots, attributes, dtype)
            # The group's own metadata last: they say that all is there.
            put_files(made, path, last=ROOT)

    @classmethod
    def open(cls, path: str | os.PathLike[str] | ObjectPath) -> EmbeddingsStore:
        """Open an existing store for reading and writing.

        Raises:
            StoreError: For a missing store, or one of another schema version.
            DamagedMetadataError: For metadata that are not what was written.
        """
        folder = output_path(path)
        if not may_be_embeddings(folder):
            raise StoreError(
                f"no embeddings store at {folder}",
                remedy="make one with s2s-map run CONFIG",
            )
        check_metadata(folder)
        try:
            with wrapped(folder):
                target = zarr_target(folder)
                group = zarr.open_group(store=target, mode="r+", use_consolidated=False)
                return cls(folder, group)
        except (MemoryError, StoreError, OutputError):
            raise
        except Exception as error:
            raise damaged_metadata(folder) from error

    @property
    def path(self) -> OutputPath:
        """Where the store lies."""
        return self._path

    @property
    def id(self) -> str | None:
        """A random name, which tells this store from others of the same content."""
        return read_store_mark(self._path)[0]

    @property
    def group(self) -> zarr.Group:
        """The Zarr group."""
        return self._group

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values as stored."""
        return np.dtype(self._array.dtype)

    @property
    def has_chunk_checksums(self) -> bool:
        """Whether each chunk carries a checksum, as those of older versions do not."""
        return any(isinstance(codec, Crc32cCodec) for codec in self._array.compressors)

    @property
    def grid(self) -> MapGrid:
        """Cells and blocks."""
        return self._grid

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return int(self._array.shape[3])

    @property
    def time_slots(self) -> list[str]:
        """Labels of the time slots."""
        return list(self._time_slots)

    @property
    def attributes(self) -> dict[str, Any]:
        """The provenance given at creation."""
        return dict(self._attributes)

    def amend(self, attributes: Mapping[str, Any]) -> None:
        """Replace some of the provenance given at creation.

        Args:
            attributes: The new values; others stay.

        Raises:
            OutputError: For a full disk, a read-only folder and the like.
        """
        self._attributes = {**self._attributes, **attributes}
        with output_errors(self._path), wrapped(self._path):
            changed = {**self._group.attrs.asdict(), PROVENANCE: self._attributes}
            checksum = metadata_checksum(self._path, json.loads(json.dumps(changed)))
            known = {CHECKSUM: checksum} if CHECKSUM in changed else {}
            self._group.attrs.update({PROVENANCE: self._attributes, **known})

    def damaged_files(self) -> list[str]:
        """Return which files beside the embeddings, such as coordinates, are damaged.

        Raises:
            OutputError: If an object store cannot be read.
        """
        return damaged_files(self._path, self._group.attrs.asdict())

    def write_block(self, block: Block, values: NDArray[np.floating[Any]]) -> str:
        """Write all time slots of a block in one go, durably: a loss of power does not undo it.

        Args:
            block: A block of the store's grid.
            values: Embeddings, shape (time, ny, nx, dim); NaN for no data.

        Returns:
            Checksum of the block as stored, as `checksum` would give it.

        Raises:
            OutputError: For a full disk, a read-only folder and the like.
            ValueError: For values of another shape.
        """
        self._check(block)
        shape = (len(self._time_slots), *block.shape, self.dim)
        if values.shape != shape:
            raise ValueError(f"block {block.key} takes values of shape {shape}, not {values.shape}")
        with np.errstate(over="ignore"):  # an overflow becomes an infinity, refused below
            stored = values.astype(self._array.dtype)
        missing = np.isnan(stored)
        if np.isinf(stored).any():
            raise ValueError(f"block {block.key} holds values beyond the range of {stored.dtype}")
        # One bit pattern for NaN: chunks without data are not stored and come back as this one.
        stored[missing] = np.nan
        shard = self.shard(block)
        with output_errors(self._path), wrapped(self._path):
            # Zarr would make the whole path again.
            check_still_there(self._path / ROOT, self._path)
            self._clear(shard, block)
            self._array[:, block.y, block.x, :] = stored
            make_durable(shard, self._path)
        return hashlib.sha256(_bytes(stored)).hexdigest()

    def shard(self, block: Block) -> OutputPath:
        """Return the file or object of a block; it is there only if the block holds data."""
        key = self._array.metadata.encode_chunk_key((0, block.row, block.col, 0))
        return self._path / EMBEDDING / key

    def e_tag(self, block: Block) -> str:
        """Return what an object store calls the content of a block; "" on a disk, or without data.

        Raises:
            OutputError: If the store cannot be asked.
        """
        return e_tag(self.shard(block))

    def e_tags(self) -> dict[str, str] | None:
        """Return the e_tags of all blocks with data by their keys, from listings; None on a disk.

        Raises:
            OutputError: If the store cannot be listed.
        """
        there = e_tags(self._path / EMBEDDING / "c")
        if there is None:
            return None
        blocks = {str(self.shard(block)): block.key for block in self._grid.iter_blocks()}
        return {blocks[path]: tag for path, tag in there.items() if path in blocks}

    def _clear(self, shard: OutputPath, block: Block) -> None:
        remove_leftovers(shard)
        whole = (self._grid.block_cells, self._grid.block_cells)
        if block.shape != whole:
            # Blocks at the edge fill a part of their shard, and zarr would keep the rest of what
            # is there, which may be damaged.
            shard.unlink(missing_ok=True)

    def file_crc(self, block: Block) -> str:
        """Return the CRC-32C of a block's file; "" in an object store, or without data.

        Raises:
            OutputError: If the file cannot be read.
        """
        return file_crc(self.shard(block))

    def read_block(self, block: Block) -> NDArray[np.float32]:
        """Return the embeddings of a block, shape (time, ny, nx, dim).

        Raises:
            StoreError: For a damaged shard.
        """
        return self._read_stored(block).astype(np.float32)

    def read_cells(self, slot: int, y: slice, x: slice) -> NDArray[Any]:
        """Return embeddings of one time slot as stored, shape (rows, columns, dim).

        Raises:
            StoreError: For a damaged shard.
        """
        with _damage(self._path, f"rows {y.start} to {y.stop}"):
            return np.asarray(self._array[slot, y, x, :])

    @property
    def chunk_cells(self) -> int:
        """Side in cells of the chunks that readers decompress."""
        return int(self._array.chunks[1])

    def read_rows(self, y: slice) -> NDArray[np.float32]:
        """Return the embeddings of whole rows of cells, shape (time, rows, columns, dim).

        Raises:
            StoreError: For a damaged shard.
        """
        with _damage(self._path, f"rows {y.start} to {y.stop}"):
            return np.asarray(self._array[:, y, :, :]).astype(np.float32)

    def checksum(self, block: Block) -> str:
        """Return the SHA-256, in hexadecimal, of a block's values as stored.

        It is taken of the uncompressed values, little-endian, in the order (time, y, x, dim), so
        it outlives a change of compression.

        Raises:
            StoreError: For a damaged shard.
        """
        self._check(block)
        digest = hashlib.sha256()
        with _damage(self._path, f"block {block.key}"):
            for slot in range(len(self._time_slots)):
                values = np.asarray(self._array[slot : slot + 1, block.y, block.x, :])
                digest.update(_bytes(values))
        return digest.hexdigest()

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return EmbeddingsStore.open, (self._path,)

    def __repr__(self) -> str:
        ny, nx = self._grid.shape
        return (
            f"EmbeddingsStore({str(self._path)!r}, {len(self._time_slots)} time slots, "
            f"{ny} x {nx} cells of {self._grid.cell_m} m, {self.dim} dims, {self._array.dtype})"
        )

    def _read_stored(self, block: Block) -> NDArray[Any]:
        self._check(block)
        with _damage(self._path, f"block {block.key}"):
            return np.asarray(self._array[:, block.y, block.x, :])

    def _check(self, block: Block) -> None:
        if block != self._grid.block(block.row, block.col):
            raise ValueError(f"block {block.key} is not a block of the grid of {self._path}")


def _bytes(values: NDArray[Any]) -> memoryview:
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little).view(np.uint8).data


@contextmanager
def _damage(path: OutputPath, part: str) -> Iterator[None]:
    """Name what cannot be read, whichever of zarr's many exceptions says so."""
    try:
        with wrapped(path):
            yield
    except (MemoryError, StoreError, OutputError):
        raise
    except Exception as error:
        raise StoreError(
            f"cannot read {part} of {path} ({type(error).__name__}: {error})",
            remedy="s2s-map verify finds what is damaged; the same run embeds it again",
        ) from error
