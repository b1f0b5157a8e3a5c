"""What of the overviews of a store is made, and from what is there now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from s2s_map.embeddings.overview_arrays import LevelArrays
from s2s_map.embeddings.overview_sealed import shard_key
from s2s_map.outputs.ledger import BlockRecord, LedgerState
from s2s_map.outputs.overview_seals import OverviewSeal, ShardSeals, checksums, made_of
from s2s_map.tiling.grid import MapGrid


@dataclass(frozen=True)
class WantedShard:
    """A shard that a level should have.

    Attributes:
        factor: Of its level.
        row: Its row.
        col: Its column.
        of: What it is to be made from, see `made_of`.
    """

    factor: int
    row: int
    col: int
    of: str

    @property
    def key(self) -> str:
        """Its name within the level."""
        return shard_key(self.row, self.col)


def lacking_blocks(levels: Sequence[LevelArrays], state: LedgerState) -> list[BlockRecord]:
    """Return the finished blocks whose share of the overviews is not recorded."""
    factors = [level.factor for level in levels if level.layout.with_blocks]
    return [
        record
        for record in state.records.values()
        if record.valid_cells and [seal.factor for seal in record.overviews] != factors
    ]


def with_blocks_seals(factor: int, state: LedgerState) -> dict[str, OverviewSeal]:
    """Return the seals of a level that is written with the blocks."""
    return {
        key: seal
        for key, record in state.records.items()
        for seal in record.overviews
        if seal.factor == factor
    }


def wanted_shards(
    level: LevelArrays, grid: MapGrid, below: LevelArrays | None, held: Mapping[str, str]
) -> Iterator[WantedShard]:
    """Yield the shards that a level is to have, with what each is made from.

    Args:
        level: A level that is made from the one below.
        grid: The finest cells.
        below: The level below; None for the finest.
        held: Checksums of the shards below that hold data, by key.
    """
    side = grid.block_cells if below is None else below.layout.shard_cells
    rows, cols = grid.block_shape if below is None else below.layout.shards
    reach = 2 * level.layout.shard_cells
    for row in range(level.layout.shards[0]):
        ys = range(row * reach // side, min(rows, -(-(row + 1) * reach // side)))
        for col in range(level.layout.shards[1]):
            xs = range(col * reach // side, min(cols, -(-(col + 1) * reach // side)))
            keys = [shard_key(y, x) for y in ys for x in xs]
            there = {key: held[key] for key in keys if key in held}
            if there:
                yield WantedShard(level.factor, row, col, made_of(there))


def held_blocks(state: LedgerState) -> dict[str, str]:
    """Return the checksums of the finished blocks that hold data, by key."""
    return {key: record.checksum for key, record in state.records.items() if record.valid_cells}


def whole_levels(
    levels: Sequence[LevelArrays],
    grid: MapGrid,
    state: LedgerState,
    recorded: Mapping[int, ShardSeals],
) -> list[ShardSeals]:
    """Return the seals of the levels, up to the first that is not made from what is there now.

    Args:
        levels: The levels of a store, finest first.
        grid: Its finest cells.
        state: What the ledger says.
        recorded: What is recorded of levels that are not written with blocks.
    """
    found: list[ShardSeals] = []
    if lacking_blocks(levels, state):
        return found
    below, held = None, held_blocks(state)
    for level in levels:
        seals: ShardSeals
        if level.layout.with_blocks:
            seals = with_blocks_seals(level.factor, state)
        else:
            seals, there = {}, recorded.get(level.factor, {})
            for shard in wanted_shards(level, grid, below, held):
                seal = there.get(shard.key)
                if seal is None or seal.of != shard.of:
                    return found
                seals[shard.key] = seal
        found.append(seals)
        below, held = level, checksums(seals, seals)
    return found
