"""The ledger of a store: runs, finished blocks and failures, a line of JSON each.

A line is written after the data it speaks of. One that is lost is a block that is embedded again,
never one that is missed. One process at a time writes: the one that holds the output.
"""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from s2s_map.arrays import Hole
from s2s_map.errors import OutputError
from s2s_map.outputs.block_seal import BlockSeal
from s2s_map.outputs.ledger_lines import Blocks
from s2s_map.outputs.overview_seals import OverviewSeal, seal_dict
from s2s_map.redaction import cleaned
from s2s_map.tiling.blocks import Block

EMBEDDED = "embedded"
"""How embedding ends when the run goes on with the maps."""
FINISHED = ("complete", "incomplete")
"""How a run ends that has written its maps."""


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """What is known of a finished block.

    Attributes:
        block: Key of the block.
        checksum: SHA-256 of its embeddings as stored.
        patches: Patches encoded for it.
        valid_cells: Cells that hold data.
        seconds: Time spent on it.
        batch_size: Patches per pass in the end.
        device: Kind of device, "cpu" or "cuda".
        threads: Processor threads of the encoder.
        read_s: Time reading its imagery, seconds.
        encode_s: Time on the device, seconds.
        write_s: Time writing it to the disk, seconds.
        worker: Tells processes apart, by a random name.
        holes: Imagery that should have been there and was not.
        hardware: What computed it: kernels and processor, or a GPU's name; "" if not known.
        data_tag: What an object store calls its data's content; "" on a disk, and without data.
        file_crc: CRC-32C of its file, eight hexadecimal digits, in its place in lines of older
            versions; it does not tell shards of one chunk apart, see `shards.file_crc32`.
        file_crc32: CRC-32 of its file, eight hexadecimal digits; "" in an object store, without
            data, and from versions before it was kept.
        overviews: What was written of overviews with it, finest first.
    """

    block: str
    checksum: str
    patches: int
    valid_cells: int
    seconds: float
    batch_size: int
    device: str = "cpu"
    threads: int = 1
    read_s: float = 0.0
    encode_s: float = 0.0
    write_s: float = 0.0
    worker: str = ""
    holes: tuple[Hole, ...] = ()
    hardware: str = ""
    data_tag: str = ""
    file_crc: str = ""
    file_crc32: str = ""
    overviews: tuple[OverviewSeal, ...] = ()

    @property
    def seal(self) -> BlockSeal:
        """What readers of the block compare it with."""
        return BlockSeal(
            self.checksum, self.valid_cells, self.file_crc, self.data_tag, self.file_crc32
        )


@dataclass(frozen=True, slots=True)
class BlockFailure:
    """Why a block has no embeddings.

    Attributes:
        block: Key of the block.
        reason: One line.
        final: False while it is still to be tried again in the same run.
        at: When, seconds since 1970 by the clock of the process that wrote it.
    """

    block: str
    reason: str
    final: bool = True
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class RunStart:
    """One run over the store.

    Attributes:
        blocks: Blocks that the region needs.
        patches: Patches of them, an upper bound: those without imagery are not encoded.
        todo: Patches that were not embedded yet.
        cluster: Where blocks are computed.
        at: When, seconds since 1970.
        anew: Whether it removed what was there before: the same command then goes on with it.
        identity: Hash of what decides the embeddings; "" from versions before it was kept.
        store: Id of the store it writes to, "" if that has none; known of what was read.
    """

    blocks: int
    patches: int
    todo: int
    cluster: str
    at: float = 0.0
    anew: bool = False
    identity: str = ""
    store: str = ""


@dataclass
class LedgerState:
    """What a ledger says.

    Attributes:
        records: Finished blocks by key.
        failures: Blocks that failed and were not finished since, by key.
        run: The last run that started.
        finished_now: Patches finished in the last run.
        encode_s: Time that its encoders were at work, all workers together, seconds.
        workers: Names of the processes that encoded in it.
        last: When the last line was written, seconds since 1970.
        ended: How the last run ended: "complete", "incomplete", "stopped" or "failed"; "embedded"
            while its maps are made, None before that; either also if it was killed then.
    """

    records: dict[str, BlockRecord] = field(default_factory=dict)
    failures: dict[str, BlockFailure] = field(default_factory=dict)
    run: RunStart | None = None
    finished_now: int = 0
    encode_s: float = 0.0
    workers: set[str] = field(default_factory=set)
    last: float = 0.0
    ended: str | None = None

    @property
    def content(self) -> dict[str, str]:
        """Checksums of the finished blocks by key: what the embeddings are."""
        return {key: self.records[key].checksum for key in sorted(self.records)}

    @property
    def seals(self) -> dict[str, BlockSeal]:
        """What readers compare the finished blocks with, by key."""
        return {key: record.seal for key, record in self.records.items()}

    @property
    def digest(self) -> str:
        """SHA-256 of `content`."""
        return hashlib.sha256(json.dumps(self.content).encode()).hexdigest()


class Ledger(ABC):
    """The ledger of one store, wherever it is kept.

    Args:
        guard: Called before every entry; raises if this process may write no longer.
        store: Id of the store; lines of another, as a run puts late that has lost the output, are
            not believed. None for a store without one: all are.
        blocks: Its blocks; lines of others are not believed. None where they are not known.
    """

    def __init__(
        self,
        guard: Callable[[], None] | None = None,
        store: str | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        self._guard = guard or (lambda: None)
        self._store, self._blocks = store, blocks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # An error that is on its way says more than that its end cannot be noted.
        with suppress(OutputError) if any(error) else nullcontext():
            self.close()

    @abstractmethod
    def state(self) -> LedgerState:
        """Return what it says; lines that no run wrote so say nothing.

        Raises:
            StoreError, OutputError: If it cannot be read.
        """

    @abstractmethod
    def start(self, run: RunStart) -> None:
        """Note that a run begins."""

    @abstractmethod
    def record(self, record: BlockRecord) -> None:
        """Note a block whose data is durably written.

        Raises:
            OutputError: For a full disk, a read-only folder, a store that is away and the like.
        """

    @abstractmethod
    def amend(self, record: BlockRecord) -> None:
        """Note more of a block that is recorded already: it is not one more that was done."""

    @abstractmethod
    def fail(self, failure: BlockFailure) -> None:
        """Note a block that failed."""

    @abstractmethod
    def end(self, how: str) -> None:
        """Note how the run ended, and make all lines durable."""

    @abstractmethod
    def drop(self, blocks: Iterable[str]) -> None:
        """Forget finished blocks, durably: they are embedded again."""

    @abstractmethod
    def close(self) -> None:
        """Make all that was noted durable."""

    def _stamped(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Return a line with the id of the store that it speaks of, if that has one."""
        return {**line, "store": self._store} if self._store else dict(line)

    def _is_ours(self, line: Mapping[str, Any]) -> bool:
        """Return whether a line speaks of this store; without an id, of whichever is there."""
        return self._store is None or line.get("store") == self._store


def idle_share(encode_s: float, seconds: float, workers: int) -> float | None:
    """Return the share of a time in which encoders had nothing to do, 0 to 1, mean of workers.

    None if there was no worker or no time.
    """
    whole = seconds * workers
    return max(0.0, 1.0 - encode_s / whole) if whole > 0 else None


def missing_blocks(blocks: Iterable[Block], finished: Mapping[str, object]) -> Iterator[Block]:
    """Yield the blocks that are not finished, in order."""
    return (block for block in blocks if block.key not in finished)


def apply_line(state: LedgerState, line: Mapping[str, Any]) -> None:
    """Have a state take in one line, a sound one."""
    event = line["event"]
    if event == "done":
        record = _made(BlockRecord, line)
        known = state.records.get(record.block)
        state.records[record.block] = record
        state.failures.pop(record.block, None)
        # Else it was amended, maybe by a later run.
        if known is None or known.checksum != record.checksum:
            state.finished_now += record.patches
            state.encode_s += record.encode_s
            state.workers.add(record.worker)
    elif event == "failed":
        failure = _made(BlockFailure, line)
        state.failures[failure.block] = failure
    elif event == "start":
        state.run = _made(RunStart, line)
        state.failures, state.finished_now, state.ended = {}, 0, None
        state.encode_s, state.workers = 0.0, set()
    elif event == "end":
        state.ended = line["how"]
    state.last = line.get("at", state.last)


def _made[Kind](kind: type[Kind], line: Mapping[str, Any]) -> Kind:
    known = {name.name for name in fields(kind)}  # type: ignore[arg-type]
    values = {key: value for key, value in line.items() if key in known}
    if "holes" in values:
        values["holes"] = tuple(_hole(hole) for hole in values["holes"])
    if "overviews" in values:
        values["overviews"] = tuple(_overview(seal) for seal in values["overviews"])
    return kind(**values)


def _hole(line: Mapping[str, Any]) -> Hole:
    return Hole(**{**line, "pieces": tuple(map(tuple, line.get("pieces", ())))})


def _overview(line: Mapping[str, Any]) -> OverviewSeal:
    pairs = {name: tuple(line.get(name, ())) for name in ("crcs", "tags")}
    return OverviewSeal(**{**line, **pairs})


def event_line(event: str, what: Any) -> dict[str, Any]:
    """Return the line of an event: what of a record says more than its defaults, and the time."""
    default = {name.name: name.default for name in fields(what)}
    said = {key: value for key, value in asdict(what).items() if default[key] != value}
    if "overviews" in said:
        said["overviews"] = [seal_dict(seal) for seal in what.overviews]
    return {"event": event, **said, "at": now()}


def encoded(line: Mapping[str, Any]) -> bytes:
    """Return a line as it is kept."""
    return json.dumps(cleaned(line), separators=(",", ":"), ensure_ascii=False).encode()


def now() -> float:
    """Return seconds since 1970."""
    return round(time.time(), 3)
