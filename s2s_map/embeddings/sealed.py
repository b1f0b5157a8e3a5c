"""Embeddings that are compared with what was recorded of them by whoever reads them.

A chunk carries its own checksum, but one that is whole may lie in the wrong place, and one that is
gone reads as no data. So each block has a seal, kept outside of the store: on a disk the CRC-32C of
its file, in an object store the e_tag of its object, and for blocks that have neither, as those of
older versions, the SHA-256 of their values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import StoreError
from s2s_map.outputs.block_seal import BlockSeal
from s2s_map.outputs.path import OutputPath
from s2s_map.outputs.shards import Version, version
from s2s_map.tiling.blocks import Block


class DamagedBlocksError(StoreError):
    """Blocks that are not what was recorded of them.

    Args:
        store: Where they lie.
        reasons: What is wrong with each, by its key.
    """

    def __init__(self, store: OutputPath, reasons: Mapping[str, str]) -> None:
        first = min(reasons)
        more = f" and {len(reasons) - 1:,} more" if len(reasons) > 1 else ""
        super().__init__(
            f"block {first}{more} of {store} is damaged: {reasons[first]}",
            remedy="start the same run again (s2s-map run CONFIG), which embeds it again",
        )
        self.store, self.reasons = store, dict(reasons)

    def __reduce__(self) -> Any:
        return DamagedBlocksError, (self.store, self.reasons)


class SealedEmbeddings(EmbeddingsStore):
    """A store whose blocks are checked when they are read.

    Blocks without a seal, which are not finished, read as no data, whatever is there. On a disk a
    block is checked again when its file's time or size has changed. Make one with `seal`.
    """

    _seals: Mapping[str, BlockSeal]
    _known: dict[str, Version]

    @classmethod
    def seal(cls, store: EmbeddingsStore, seals: Mapping[str, BlockSeal]) -> SealedEmbeddings:
        """Return a store that reads only what is as recorded.

        Args:
            store: The store.
            seals: What was recorded of its finished blocks, by key.
        """
        sealed = cls(store.path, store.group)
        sealed._seals, sealed._known = seals, {}
        return sealed

    def damage(self, block: Block, *, thorough: bool = False) -> str:
        """Say what is wrong with a finished block, "" if nothing is.

        Args:
            block: A block that has a seal.
            thorough: Take the checksum of its values, too.

        Raises:
            OutputError: If an object store does not answer.
        """
        seal, shard = self._seals[block.key], self.shard(block)
        known = None if thorough else self._known.get(block.key)
        try:
            tag, there = version(shard, known)
        except FileNotFoundError:
            return "its data is missing" if seal.valid_cells else ""
        if not seal.valid_cells:
            return "it holds data, where none was recorded"
        if known == there:
            return ""
        try:
            reason = self._compared(block, seal, tag, thorough=thorough)
        except StoreError as error:
            return error.found
        if not reason:
            self._known[block.key] = there
        return reason

    def _compared(self, block: Block, seal: BlockSeal, tag: str, *, thorough: bool) -> str:
        if seal.file_crc and not tag:
            there = self.file_crc(block)
            if there != seal.file_crc:
                return f"its file has the CRC-32C {there}, {seal.file_crc} was recorded"
        elif seal.data_tag and tag and seal.data_tag != tag:
            return f"its object has the e_tag {tag}, {seal.data_tag} was recorded"
        elif not (seal.data_tag and tag and self.has_chunk_checksums):
            thorough = True
        if thorough:
            values = self.checksum(block)
            if values != seal.checksum:
                return f"checksum {values[:12]} there, {seal.checksum[:12]} recorded"
        return ""

    def read_block(self, block: Block) -> NDArray[np.float32]:
        """Return the embeddings of a block, shape (time, ny, nx, dim); NaN if it has no seal.

        Raises:
            DamagedBlocksError: If it is not what was recorded.
        """
        self._check(block)
        read = super().read_block
        if self._checked([block]):
            return self._naming([block], partial(read, block))
        shape = (len(self.time_slots), *block.shape, self.dim)
        return np.full(shape, np.nan, dtype=np.float32)

    def read_cells(self, slot: int, y: slice, x: slice) -> NDArray[Any]:
        """Return embeddings of one time slot as stored, shape (rows, columns, dim).

        Raises:
            DamagedBlocksError: If a block that they touch is not what was recorded.
        """
        touched = list(self._touched(y, x))
        sound = self._checked(touched)
        read = super().read_cells
        if len(sound) == len(touched):
            return self._naming(touched, partial(read, slot, y, x))
        cells = np.full((y.stop - y.start, x.stop - x.start, self.dim), np.nan, dtype=self.dtype)
        for block in sound:
            rows, cols = _common(block.y, y), _common(block.x, x)
            part = self._naming([block], partial(read, slot, rows, cols))
            cells[_within(rows, y), _within(cols, x)] = part
        return cells

    def read_rows(self, y: slice) -> NDArray[np.float32]:
        """Return the embeddings of whole rows of cells, shape (time, rows, columns, dim).

        Raises:
            DamagedBlocksError: If a block that they touch is not what was recorded.
        """
        whole = slice(0, self.grid.shape[1])
        slots = [self.read_cells(slot, y, whole) for slot in range(len(self.time_slots))]
        return np.stack(slots).astype(np.float32)

    def check(self, y: slice, x: slice) -> None:
        """Check all blocks that cells touch, before any is read.

        Raises:
            DamagedBlocksError: With all of them that are not what was recorded.
        """
        self._checked(list(self._touched(y, x)))

    def _checked(self, blocks: list[Block]) -> list[Block]:
        """Return those of some blocks that hold data, as it was recorded."""
        finished = [block for block in blocks if block.key in self._seals]
        reasons = {block.key: self.damage(block) for block in finished}
        bad = {key: reason for key, reason in reasons.items() if reason}
        if bad:
            raise DamagedBlocksError(self.path, bad)
        return [block for block in finished if self._seals[block.key].valid_cells]

    def _naming[Read](self, blocks: list[Block], read: Callable[[], Read]) -> Read:
        """Read, and if that fails say which of the blocks is damaged."""
        try:
            return read()
        except DamagedBlocksError:
            raise
        except StoreError as error:
            reasons = {block.key: self.damage(block, thorough=True) for block in blocks}
            bad = {key: reason for key, reason in reasons.items() if reason}
            if not bad:
                # Whole by now: another has put it right, or the disk reads as it likes.
                raise
            raise DamagedBlocksError(self.path, bad) from error

    def _touched(self, y: slice, x: slice) -> Iterator[Block]:
        side = self.grid.block_cells
        for row in range(y.start // side, -(-y.stop // side)):
            for col in range(x.start // side, -(-x.stop // side)):
                yield self.grid.block(row, col)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _opened, (self.path, self._seals)


def _opened(path: OutputPath, seals: Mapping[str, BlockSeal]) -> SealedEmbeddings:
    return SealedEmbeddings.seal(EmbeddingsStore.open(path), seals)


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _within(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)
