"""The journal of finished blocks: what it keeps, and what it survives."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.arrays import Hole
from s2s_map.errors import InterruptedRunError, OutputError
from s2s_map.outputs.disk_ledger import JournalLedger
from s2s_map.outputs.ledger import BlockFailure, BlockRecord, RunStart
from s2s_map.pipeline.embed.record_end import noted_end

RECORDS = [
    BlockRecord(f"r000-c{i:03d}", "ab" * 32, i, 4, 0.5, 16, "cpu", 2, worker="w") for i in range(5)
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def written(path: Path) -> None:
    with JournalLedger(path) as ledger:
        ledger.start(RunStart(9, 100, 90, "threads"))
        for record in RECORDS:
            ledger.record(record)


def test_keeps_records_with_their_holes(path: Path) -> None:
    pieces = ((14, 5818, 8460, 8462),)
    holes = (Hole("status 500", "https://a.test/3/1/2.png", 2, pieces), Hole("gone", "a.tif"))
    record = BlockRecord("r000-c001", "ab", 3, 4, 0.5, 16, holes=holes)
    assert JournalLedger(path).state().records == {}
    with JournalLedger(path) as ledger:
        ledger.record(record)
    assert JournalLedger(path).state().records == {"r000-c001": record}


def test_tells_of_runs_failures_and_ends(path: Path) -> None:
    written(path)
    with JournalLedger(path) as ledger:
        ledger.fail(BlockFailure("r000-c007", "no file", final=False))
        ledger.fail(BlockFailure("r000-c008", "no file"))
        ledger.record(BlockRecord("r000-c007", "cd", 1, 1, 0.1, 16))
        ledger.end("incomplete")
    state = JournalLedger(path).state()
    assert state.run is not None
    assert (state.run.blocks, state.run.todo) == (9, 90)
    assert state.failures["r000-c008"].reason == "no file"
    assert list(state.failures) == ["r000-c008"]
    assert state.finished_now == sum(r.patches for r in RECORDS) + 1
    assert state.ended == "incomplete"
    with JournalLedger(path) as ledger:
        ledger.start(RunStart(9, 100, 50, "local"))
    again = JournalLedger(path).state()
    assert (again.failures, again.ended, again.finished_now) == ({}, None, 0)
    assert len(again.records) == 6


def test_dropped_blocks_are_forgotten(path: Path) -> None:
    written(path)
    ledger = JournalLedger(path)
    ledger.drop(["r000-c001", "r000-c003"])
    assert sorted(ledger.state().records) == ["r000-c000", "r000-c002", "r000-c004"]
    with ledger:
        ledger.record(RECORDS[1])
    assert len(JournalLedger(path).state().records) == 4


@given(cut=st.integers(min_value=0))
def test_a_torn_tail_costs_the_torn_block_only(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("torn") / "ledger.jsonl"
    written(path)
    whole = path.read_bytes()
    cut %= len(whole) + 1
    path.write_bytes(whole[:cut])
    kept = JournalLedger(path).state().records
    # Complete lines, and a last one that lacks but its newline.
    assert len(kept) in {whole[:cut].count(b"\n") - 1 + extra for extra in (0, 1)} or cut == 0
    assert all(record in RECORDS for record in kept.values())
    late = BlockRecord("r009-c009", "ef", 1, 1, 0.1, 16)
    with JournalLedger(path) as ledger:
        ledger.record(late)
    assert JournalLedger(path).state().records == {**kept, late.block: late}


def test_lines_of_another_store_are_not_believed(path: Path) -> None:
    with JournalLedger(path, store="old") as ledger:
        ledger.start(RunStart(9, 100, 90, "threads"))
        ledger.record(RECORDS[0])
    with JournalLedger(path, store="new") as ledger:
        assert ledger.state().run is None
        ledger.record(RECORDS[1])
        ledger.drop(["r000-c004"])
    assert list(JournalLedger(path, store="new").state().records) == ["r000-c001"]
    # Older stores have no id, and their ledgers none either.
    assert len(JournalLedger(path).state().records) == 1


def test_an_older_ledger_goes_with_a_store_without_an_id(path: Path) -> None:
    written(path)
    assert "store" not in path.read_text()
    assert len(JournalLedger(path).state().records) == len(RECORDS)
    assert JournalLedger(path, store="new").state().records == {}


def test_why_a_run_ended_is_said_though_its_end_cannot_be_noted(path: Path) -> None:
    def lost() -> None:
        raise OutputError("another run took it")

    with (
        pytest.raises(InterruptedRunError, match="stopped with 2 of 3 blocks done"),
        JournalLedger(path, lost) as ledger,
        noted_end(ledger, lambda: "complete", lambda: "with 2 of 3 blocks done"),
    ):
        raise KeyboardInterrupt
    ended = noted_end(JournalLedger(path, lost), lambda: "complete", lambda: "")
    with pytest.raises(OutputError, match="another run took it"), ended:
        pass


@pytest.mark.parametrize(
    ("error", "how"),
    [
        (KeyboardInterrupt(), "stopped"),
        (InterruptedRunError("stopped while scoring"), "stopped"),
        (OutputError("the disk is full"), "failed"),
        (None, "complete"),
    ],
)
def test_every_end_is_noted(path: Path, error: BaseException | None, how: str) -> None:
    with JournalLedger(path) as ledger:
        ledger.start(RunStart(2, 10, 10, "threads"))
        with (
            suppress(InterruptedRunError, OutputError),
            noted_end(ledger, lambda: "complete", lambda: "early"),
        ):
            if error is not None:
                raise error
        assert ledger.state().ended == how


def test_garbage_in_the_middle_is_as_good_as_not_written(path: Path) -> None:
    written(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"\0" * 40 + b"\n"
    lines[3] = b'{"event":"done","block":"r000-c002"}\n'
    path.write_bytes(b"".join(lines))
    assert sorted(JournalLedger(path).state().records) == ["r000-c000", "r000-c003", "r000-c004"]
