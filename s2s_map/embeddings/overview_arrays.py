"""The arrays of one level of overviews, written and read shard by shard."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.embeddings.overview_means import Cells, halved
from s2s_map.embeddings.overview_schema import open_level, store_factors
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.embeddings.stored_values import naming_damage, value_bytes
from s2s_map.outputs.atomic import output_errors
from s2s_map.outputs.durable import check_still_there, make_durable
from s2s_map.outputs.overview_seals import OverviewSeal
from s2s_map.outputs.path import OutputPath, wrapped
from s2s_map.outputs.shards import e_tag, file_crc32, remove_leftovers
from s2s_map.outputs.zarr_files import COUNTS, EMBEDDING, OVERVIEWS, ROOT
from s2s_map.tiling.blocks import Block

MADE_AGAIN = "s2s-map overviews OUT makes it again"


class LevelArrays:
    """Vectors and counts of one level of a store.

    Args:
        store: The store.
        factor: Of the level, which the store has.

    Attributes:
        layout: Where its cells lie.
        dim: Length of an embedding.
        dtype: Type of the vectors as stored.

    Raises:
        StoreError: If their metadata are not what was written.
    """

    def __init__(self, store: EmbeddingsStore, factor: int) -> None:
        self._path, self.dim, self.dtype = store.path, store.dim, store.dtype
        self.layout, self._vectors, self._counts = open_level(store, factor)

    @property
    def factor(self) -> int:
        """Finest cells per side of a cell."""
        return self.layout.factor

    @property
    def chunk_cells(self) -> int:
        """Side in cells of the chunks that readers decompress."""
        return int(self._vectors.chunks[1])

    def files(self, row: int, col: int) -> tuple[OutputPath, OutputPath]:
        """Return the files or objects of a shard's vectors and counts."""
        place = self._path / OVERVIEWS / str(self.factor)
        vectors = self._vectors.metadata.encode_chunk_key((0, row, col, 0))
        counts = self._counts.metadata.encode_chunk_key((0, row, col))
        return place / EMBEDDING / vectors, place / COUNTS / counts

    def write(
        self, row: int, col: int, vectors: NDArray[Any], counts: NDArray[np.uint32], of: str = ""
    ) -> OverviewSeal:
        """Write all time slots of a shard, durably; one without data leaves no file.

        Args:
            row: Row of the shard.
            col: Its column.
            vectors: Shape (time, ny, nx, dim), as they are stored.
            counts: Shape (time, ny, nx).
            of: What it was made from.

        Returns:
            What to record of it.

        Raises:
            OutputError: For a full disk, a read-only folder and the like.
        """
        y, x = self.layout.window(row, col)
        # One bit pattern for NaN: chunks without data are not stored.
        vectors[counts == 0] = np.nan
        files = self.files(row, col)
        with output_errors(self._path), wrapped(self._path):
            check_still_there(self._path / ROOT, self._path)
            for file in files:
                remove_leftovers(file)
                if vectors.shape[1:3] != (self.layout.shard_cells,) * 2:
                    # Zarr would keep the rest of what is there, which may be damaged.
                    file.unlink(missing_ok=True)
            self._vectors[:, y, x, :] = vectors
            self._counts[:, y, x] = counts
            for file in files:
                make_durable(file, self._path)
        cells = int((counts > 0).sum())
        if not cells:
            return OverviewSeal(self.factor, "", 0, of=of)
        tags = tuple(filter(None, map(e_tag, files)))
        return OverviewSeal(
            self.factor,
            _checksum(vectors, counts),
            cells,
            crcs=() if tags else tuple(map(file_crc32, files)),
            tags=tags,
            of=of,
        )

    def remove(self, row: int, col: int) -> None:
        """Remove a shard.

        Raises:
            OutputError: If it cannot be removed.
        """
        with output_errors(self._path), wrapped(self._path):
            for file in self.files(row, col):
                file.unlink(missing_ok=True)

    def read(self, slot: int, y: slice, x: slice) -> Cells:
        """Return the cells of one time slot, vectors as stored.

        Raises:
            StoreError: For a damaged shard.
        """
        part = f"overview {self.factor}, rows {y.start} to {y.stop}"
        with naming_damage(self._path, part, MADE_AGAIN):
            return np.asarray(self._vectors[slot, y, x, :]), np.asarray(self._counts[slot, y, x])

    def checksum(self, row: int, col: int) -> str:
        """Return the SHA-256 of what is stored in a shard, see `OverviewSeal`.

        Raises:
            StoreError: For a damaged shard.
        """
        y, x = self.layout.window(row, col)
        part = f"overview {self.factor}, shard r{row:03d}-c{col:03d}"
        with naming_damage(self._path, part, MADE_AGAIN):
            return _checksum(
                np.asarray(self._vectors[:, y, x, :]), np.asarray(self._counts[:, y, x])
            )


@lru_cache(maxsize=8)
def levels_of(store: EmbeddingsStore) -> tuple[LevelArrays, ...]:
    """Open the levels of a store, once; finest first, none if it has no overviews.

    Raises:
        StoreError: If their metadata are not what was written.
    """
    return tuple(LevelArrays(store, factor) for factor in store_factors(store))


def write_with_block(
    levels: Sequence[LevelArrays], block: Block, slots: Sequence[Cells]
) -> tuple[OverviewSeal, ...]:
    """Write the shards of a block of those levels that are written with blocks.

    Args:
        levels: The levels of the store.
        block: The block.
        slots: Its cells, for each time slot.

    Returns:
        What to record of them, finest first.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    seals = []
    for level in levels:
        if not level.layout.with_blocks:
            break
        slots = [halved(cells, level.dtype) for cells in slots]
        vectors, counts = (np.stack(part) for part in zip(*slots, strict=True))
        seals.append(level.write(block.row, block.col, vectors, counts))
    return tuple(seals)


def _checksum(vectors: NDArray[Any], counts: NDArray[np.uint32]) -> str:
    digest = hashlib.sha256(value_bytes(vectors))
    digest.update(value_bytes(counts))
    return digest.hexdigest()
