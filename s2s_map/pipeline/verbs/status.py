"""How far a run is, from its ledger; and whether what it wrote is still what it recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from s2s_map.embeddings.sealed import SealedEmbeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import StoreError
from s2s_map.outputs import names
from s2s_map.outputs.block_provenance import Making, makings_of
from s2s_map.outputs.holes import RunHole, holes_of
from s2s_map.outputs.ledger import EMBEDDED, FINISHED, Ledger, LedgerState, idle_share
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import ObjectPath, OutputPath, output_path
from s2s_map.pipeline.job.output_folder import check_store_id, open_ledger
from s2s_map.pipeline.verbs.verify import verify_results
from s2s_map.reporter import Reporter

State = Literal["running", "complete", "incomplete", "stopped", "failed", "killed"]
Stage = Literal["embedding", "maps"]


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes:
        state: "running"; or how it ended: "complete", "incomplete" (blocks failed), "stopped" (by
            Ctrl-C or SIGTERM), "failed" (by an error) or "killed" (without a word).
        blocks: Blocks the region needs.
        blocks_done: Those that are embedded.
        patches: Patches of all blocks, an upper bound.
        patches_done: Patches that were encoded.
        share: Part of the patches whose blocks are done, 0 to 1.
        patches_per_s: Rate of the last run, patches per second.
        encoder_idle: Share of the last run's time in which its encoders waited for imagery or the
            disk, 0 to 1, mean of the workers; None if it has done nothing yet.
        seconds_left: At that rate; None if it is not running or has done nothing yet.
        silent_s: Time since the last line of the ledger, by this machine's clock, seconds.
        cluster: Where blocks are computed.
        failed: Blocks without embeddings and why.
        holes: Imagery that was missing in finished blocks: block, uri, reason, count, pieces.
        merged_holes: The same, those of one URI and reason as one.
        made_with: What blocks were made with: more than one, and they are alike within a tolerance,
            see `agreement`, not to the byte.
        maps: Whether maps are there, of this run or an earlier one.
        maps_current: Whether they are those of the last run.
        overwriting: Whether the last run replaces other results, which are there until it ends.
        bad_files: Files of the finished results that are missing or of another size, each with how;
            `verify` reads them.
        stage: What the run is at, or was at when it ended without maps; None once it is finished.
    """

    state: State
    blocks: int
    blocks_done: int
    patches: int
    patches_done: int
    share: float
    patches_per_s: float
    encoder_idle: float | None
    seconds_left: float | None
    silent_s: float
    cluster: str
    failed: dict[str, str] = field(default_factory=dict)
    holes: tuple[dict[str, Any], ...] = ()
    merged_holes: tuple[RunHole, ...] = ()
    made_with: tuple[Making, ...] = ()
    maps: bool = False
    maps_current: bool = False
    overwriting: bool = False
    bad_files: dict[str, str] = field(default_factory=dict)
    stage: Stage | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def run_status(out: str | Path | ObjectPath) -> RunStatus:
    """Return how far the run of an output folder is, while it goes on or afterwards.

    Args:
        out: Its output, a folder or ``s3://bucket/prefix``.

    Raises:
        StoreError: If no run was started there.
    """
    folder = output_path(out)
    open_output(folder).check_access()
    state, overwriting = _last_state(folder)
    run = state.run
    if run is None:
        raise StoreError(f"no run was started in {folder}", remedy="s2s-map run CONFIG")
    now = time.time()
    running = state.ended in (None, EMBEDDED) and open_output(folder).is_held()
    maps = (open_output(folder).finished_results() / names.RECORD).exists()
    bad = verify_results(folder, read=False) if maps else []
    until = now if running else state.last
    rate = state.finished_now / (until - run.at) if until > run.at else 0.0
    left = max(0, run.todo - state.finished_now)
    share = 1.0 if not run.patches else 1.0 - left / run.patches
    if len(state.records) >= run.blocks:
        share = 1.0
    idle = idle_share(state.encode_s, state.last - run.at, len(state.workers))
    return RunStatus(
        state="running" if running else _ending(state.ended),
        blocks=run.blocks,
        # A block that the region does not need is none of them, whatever its line says.
        blocks_done=min(len(state.records), run.blocks),
        patches=run.patches,
        patches_done=sum(record.patches for record in state.records.values()),
        share=round(share, 4),
        patches_per_s=round(rate, 2),
        encoder_idle=None if idle is None else round(idle, 3),
        seconds_left=round(left / rate, 1) if running and rate else None,
        silent_s=round(max(0.0, now - state.last), 1),
        cluster=run.cluster,
        failed={failure.block: failure.reason for failure in state.failures.values()},
        holes=tuple(
            {"block": record.block, **asdict(hole)}
            for record in state.records.values()
            for hole in record.holes
        ),
        merged_holes=holes_of(state.records.values()),
        made_with=makings_of(state.records.values()),
        maps=maps,
        maps_current=maps and state.ended in FINISHED,
        overwriting=overwriting,
        bad_files={one.file: one.reason for one in bad},
        stage=_stage(state),
    )


def _last_state(folder: OutputPath) -> tuple[LedgerState, bool]:
    """Return what the ledger says that was written to last, and whether it replaces another."""
    state, overwriting = open_ledger(open_output(folder).finished_home()).state(), False
    for home in open_output(folder).unfinished_homes():
        other = open_ledger(home).state()
        if other.run is not None and other.last > state.last:
            state, overwriting = other, True
    return state, overwriting


@dataclass(frozen=True)
class BadBlock:
    """A block that is not what its record says.

    Attributes:
        block: Its key.
        reason: What is wrong with it.
    """

    block: str
    reason: str


def verify(
    out: str | Path | ObjectPath, repair: bool = False, reporter: Reporter | None = None
) -> list[BadBlock]:
    """Read every finished block again and compare it with its checksum.

    Args:
        out: The output, a folder or ``s3://bucket/prefix``.
        repair: Forget the bad ones, so that the next run embeds them again.
        reporter: Receives the progress.

    Returns:
        The bad blocks; empty if all is well.

    Raises:
        StoreError: If there is no store.
        OutputError: With `repair`, if a run is writing to the folder.
    """
    folder, watch = output_path(out), reporter or Reporter()
    open_output(folder).check_access(write=repair)
    home = open_output(folder).finished_home()
    store = EmbeddingsStore.open(home / names.EMBEDDINGS)
    check_store_id(home)
    damaged = store.damaged_files()
    if damaged:
        raise StoreError(
            f"{damaged[0]} of {store.path} is damaged",
            remedy="start the same run again, which writes it again",
        )
    ledger = open_ledger(home)
    if not repair:
        return list(_bad_blocks(store, ledger, watch))
    with open_output(folder).locked(watch.note):
        bad = list(_bad_blocks(store, ledger, watch))
        if bad:
            ledger.drop([one.block for one in bad])
    return bad


def _bad_blocks(store: EmbeddingsStore, ledger: Ledger, watch: Reporter) -> Iterator[BadBlock]:
    state = ledger.state()
    records, sealed = state.records, SealedEmbeddings.seal(store, state.seals)
    watch.start("Verifying", len(records), "blocks")
    known = {block.key: block for block in store.grid.iter_blocks() if block.key in records}
    for key in sorted(records):
        watch.advance(1)
        block = known.get(key)
        if block is None:
            yield BadBlock(key, "no block of this store's grid")
            continue
        reason = sealed.damage(block, thorough=True)
        if reason:
            yield BadBlock(key, reason)
    watch.finish()


def _stage(state: LedgerState) -> Stage | None:
    if state.ended in FINISHED:
        return None
    whole = state.run is not None and len(state.records) >= state.run.blocks
    return "maps" if whole or state.ended == EMBEDDED else "embedding"


def _ending(how: str | None) -> State:
    endings: tuple[State, ...] = ("complete", "incomplete", "stopped", "failed")
    return next((ending for ending in endings if ending == how), "killed")
