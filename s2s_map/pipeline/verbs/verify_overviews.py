"""Whether the overviews of embeddings are what was recorded of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2s_map.embeddings.opening import open_ledger
from s2s_map.embeddings.overview_arrays import LevelArrays, levels_of
from s2s_map.embeddings.overview_schema import overviews_group
from s2s_map.embeddings.overview_sealed import DamagedOverviewError, SealedLevel
from s2s_map.embeddings.overview_state import (
    held_blocks,
    lacking_blocks,
    wanted_shards,
    with_blocks_seals,
)
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.outputs import names
from s2s_map.outputs.ledger import FINISHED, LedgerState
from s2s_map.outputs.output import open_output
from s2s_map.outputs.overview_seals import ShardSeals, checksums, read_seals
from s2s_map.outputs.path import ObjectPath
from s2s_map.reporter import Reporter


@dataclass(frozen=True)
class BadOverview:
    """A shard of an overview that is not what its record says.

    Attributes:
        factor: Of its level.
        shard: Its key within the level; that of a block where it is written with one.
        reason: What is wrong with it.
    """

    factor: int
    shard: str
    reason: str


def verify_overviews(
    out: str | Path | ObjectPath, *, reporter: Reporter | None = None
) -> list[BadOverview]:
    """Read all overviews of an output and compare them with what was recorded.

    Args:
        out: The output, a folder or ``s3://bucket/prefix``.
        reporter: Told of the progress.

    Returns:
        What is bad, or lacks although the run finished; empty if all is well, or there are none.

    Raises:
        StoreError: If there is no store, or the metadata of its overviews are damaged.
        OutputError: If an object store cannot be read.
    """
    home = open_output(out).finished_home()
    store, watch = EmbeddingsStore.open(home / names.EMBEDDINGS), reporter or Reporter()
    state = open_ledger(home).state()
    found = list(bad_overviews(store, state, watch, thorough=True))
    if state.ended not in FINISHED:
        # The run makes them when it goes on.
        found = [one for one in found if one.reason not in _LACKING]
    return found


_NOT_MADE, _OUTDATED = "is not made yet", "is made of other blocks than there are"
_LACKING = (_NOT_MADE, _OUTDATED)


def bad_overviews(
    store: EmbeddingsStore, state: LedgerState, watch: Reporter, *, thorough: bool
) -> Iterator[BadOverview]:
    """Yield the shards that are not what was recorded, or are not recorded.

    Args:
        store: The embeddings.
        state: What their ledger says.
        watch: Told of the progress.
        thorough: Take the checksums of values, too.
    """
    levels = levels_of(store)
    if not levels:
        return
    yield from _lacking(levels, state)
    recorded = read_seals(overviews_group(store))
    below: LevelArrays | None = None
    held = held_blocks(state)
    for level in levels:
        seals: ShardSeals
        if level.layout.with_blocks:
            seals = with_blocks_seals(level.factor, state)
        else:
            seals = recorded.get(level.factor, {})
            for shard in wanted_shards(level, store.grid, below, held):
                seal = seals.get(shard.key)
                if seal is None or seal.of != shard.of:
                    reason = _NOT_MADE if seal is None else _OUTDATED
                    yield BadOverview(level.factor, shard.key, reason)
        yield from _damaged(store, level, seals, watch, thorough=thorough)
        below, held = level, checksums(seals, seals)


def as_damage(store: EmbeddingsStore, bad: Sequence[BadOverview]) -> list[DamagedOverviewError]:
    """Return what is damaged, level by level; what lacks is made anyway."""
    found = []
    for factor in sorted({one.factor for one in bad}):
        reasons = {
            one.shard: one.reason
            for one in bad
            if one.factor == factor and one.reason not in _LACKING
        }
        if reasons:
            found.append(DamagedOverviewError(store.path, factor, reasons))
    return found


def _lacking(levels: Sequence[LevelArrays], state: LedgerState) -> Iterator[BadOverview]:
    factors = [level.factor for level in levels if level.layout.with_blocks]
    for record in lacking_blocks(levels, state):
        there = {seal.factor for seal in record.overviews}
        for factor in factors:
            if factor not in there:
                yield BadOverview(factor, record.block, _NOT_MADE)


def _damaged(
    store: EmbeddingsStore,
    level: LevelArrays,
    seals: ShardSeals,
    watch: Reporter,
    *,
    thorough: bool,
) -> Iterator[BadOverview]:
    if not seals:
        return
    sealed = SealedLevel(store.path, level, seals)
    watch.start("Verifying", len(seals), "overviews")
    for key in sorted(seals):
        watch.advance(1)
        reason = sealed.damage(key, thorough=thorough)
        if reason:
            yield BadOverview(level.factor, key, reason)
    watch.finish()
