"""Levels of overviews that are compared with what was recorded of them by whoever reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from s2s_map.embeddings.overview_arrays import LevelArrays
from s2s_map.embeddings.overview_means import Cells
from s2s_map.errors import StoreError
from s2s_map.outputs.overview_seals import OverviewSeal, ShardSeals
from s2s_map.outputs.path import OutputPath
from s2s_map.outputs.shards import Version, file_crc32, version


class DamagedOverviewError(StoreError):
    """Shards of a level that are not what was recorded of them.

    Args:
        store: Where they lie.
        factor: Of the level.
        reasons: What is wrong with each, by its key.
    """

    def __init__(self, store: OutputPath, factor: int, reasons: Mapping[str, str]) -> None:
        first = min(reasons)
        more = f" and {len(reasons) - 1:,} more" if len(reasons) > 1 else ""
        super().__init__(
            f"overview {factor} of {store} is damaged at {first}{more}: {reasons[first]}",
            remedy=f"make it again with s2s-map overviews {store.parent}",
        )
        self.store, self.factor, self.reasons = store, factor, dict(reasons)

    def __reduce__(self) -> Any:
        return DamagedOverviewError, (self.store, self.factor, self.reasons)


class SealedLevel:
    """A level whose shards are checked when they are read.

    Shards without a seal read as no data, whatever is there. On a disk a shard is checked again
    when the time or size of a file has changed.

    Args:
        store: Where the store lies.
        arrays: The level.
        seals: What was recorded of its shards.
    """

    def __init__(self, store: OutputPath, arrays: LevelArrays, seals: ShardSeals) -> None:
        self._store, self._arrays, self._seals = store, arrays, seals
        self._known: dict[str, tuple[Version, ...]] = {}

    @property
    def arrays(self) -> LevelArrays:
        """The level."""
        return self._arrays

    def cells(self, slot: int, y: slice, x: slice) -> Cells:
        """Return the cells of one time slot; vectors are no numbers where counts are 0.

        Raises:
            DamagedOverviewError: If a shard that they touch is not what was recorded.
        """
        touched = list(self._touched(y, x))
        sound = self._checked(touched)
        if len(sound) == len(touched):
            return self._read(sound, slot, y, x)
        shape = (y.stop - y.start, x.stop - x.start)
        vectors = np.full((*shape, self._arrays.dim), np.nan, dtype=self._arrays.dtype)
        counts = np.zeros(shape, dtype=np.uint32)
        for row, col in sound:
            rows, cols = self._arrays.layout.window(row, col)
            rows, cols = _common(rows, y), _common(cols, x)
            here = _within(rows, y), _within(cols, x)
            vectors[here], counts[here] = self._read([(row, col)], slot, rows, cols)
        return vectors, counts

    def damage(self, key: str, *, thorough: bool = False) -> str:
        """Say what is wrong with a shard that has a seal, "" if nothing is.

        Args:
            key: Its key.
            thorough: Take the checksum of its values, too.

        Raises:
            OutputError: If an object store does not answer.
        """
        seal, place = self._seals[key], shard_place(key)
        files = self._arrays.files(*place)
        if not seal.cells:
            held = any(file.exists() for file in files)
            return "it holds data, where none was recorded" if held else ""
        known = () if thorough else self._known.get(key, ())
        try:
            there = [version(file, known[n] if known else None) for n, file in enumerate(files)]
        except FileNotFoundError:
            return "its data is missing"
        versions = tuple(one[1] for one in there)
        if known == versions:
            return ""
        tags = tuple(one[0] for one in there)
        reason = self._compared(seal, place, tags, thorough=thorough)
        if not reason:
            self._known[key] = versions
        return reason

    def _compared(
        self, seal: OverviewSeal, place: tuple[int, int], tags: tuple[str, ...], *, thorough: bool
    ) -> str:
        if seal.crcs and not any(tags):
            if tuple(map(file_crc32, self._arrays.files(*place))) != seal.crcs:
                return "its files have another CRC-32 than was recorded"
        elif seal.tags and all(tags):
            if tags != seal.tags:
                return "its objects have other e_tags than were recorded"
        else:
            thorough = True
        if thorough:
            try:
                there = self._arrays.checksum(*place)
            except StoreError as error:
                return error.found
            if there != seal.checksum:
                return f"checksum {there[:12]} there, {seal.checksum[:12]} recorded"
        return ""

    def _checked(self, places: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return those of some shards that hold data, as it was recorded."""
        keys = {shard_key(*place): place for place in places}
        sealed = [key for key in keys if key in self._seals]
        reasons = {key: reason for key in sealed if (reason := self.damage(key))}
        if reasons:
            raise DamagedOverviewError(self._store, self._arrays.factor, reasons)
        return [keys[key] for key in sealed if self._seals[key].cells]

    def _read(self, places: list[tuple[int, int]], slot: int, y: slice, x: slice) -> Cells:
        """Read, and if that fails say which of the shards is damaged."""
        try:
            return self._arrays.read(slot, y, x)
        except StoreError as error:
            keys = [shard_key(*place) for place in places]
            reasons = {key: reason for key in keys if (reason := self.damage(key, thorough=True))}
            if not reasons:
                raise
            raise DamagedOverviewError(self._store, self._arrays.factor, reasons) from error

    def _touched(self, y: slice, x: slice) -> Iterator[tuple[int, int]]:
        side = self._arrays.layout.shard_cells
        for row in range(y.start // side, -(-y.stop // side)):
            for col in range(x.start // side, -(-x.stop // side)):
                yield row, col


def shard_key(row: int, col: int) -> str:
    """Return the name of a shard within its level, as that of a block."""
    return f"r{row:03d}-c{col:03d}"


def shard_place(key: str) -> tuple[int, int]:
    """Return the row and column of the shard of a key."""
    row, col = (int(part[1:]) for part in key.split("-"))
    return row, col


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _within(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)
