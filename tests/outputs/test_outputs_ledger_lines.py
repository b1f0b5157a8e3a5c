"""Lines of a ledger that no run wrote are as good as not written, whatever they say."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2s_map.arrays import Hole
from s2s_map.outputs.disk_ledger import JournalLedger
from s2s_map.outputs.ledger import BlockFailure, BlockRecord, RunStart
from s2s_map.outputs.ledger_lines import MOST_BYTES, Blocks

GRID = Blocks(2, 3, 64)
RECORD = BlockRecord("r000-c001", "ab" * 32, 5, 64, 0.5, 16, holes=(Hole("gone", "a.tif"),))


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """A line of each kind, as runs write them."""
    path = tmp_path_factory.mktemp("whole") / "ledger.jsonl"
    with JournalLedger(path, store="here") as ledger:
        ledger.start(RunStart(6, 100, 90, "threads", identity="0" * 64))
        ledger.record(RECORD)
        ledger.fail(BlockFailure("r001-c002", "no file", final=False))
        ledger.end("incomplete")
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def ledger_of(path: Path, *raw: bytes) -> JournalLedger:
    path.write_bytes(b"".join(line + b"\n" for line in raw))
    return JournalLedger(path, store="here", blocks=GRID)


def test_what_runs_write_is_believed(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    state = ledger_of(tmp_path / "l", *(json.dumps(line).encode() for line in lines)).state()
    assert state.records == {"r000-c001": RECORD}
    assert list(state.failures) == ["r001-c002"]
    assert state.run is not None
    start = RunStart(6, 100, 90, "threads", identity="0" * 64, store="here")
    assert replace(state.run, at=0.0) == start
    assert state.ended == "incomplete"


@pytest.mark.parametrize(
    "change",
    [
        {"block": "r002-c000"},
        {"block": "r0-c1"},
        {"block": "r0001-c001"},
        {"block": "../r000-c001"},
        {"block": ["r000-c001"]},
        {"checksum": "not hexadecimal"},
        {"checksum": 7},
        {"patches": "5"},
        {"patches": -1},
        {"patches": 1.5},
        {"patches": True},
        {"patches": 10**40},
        {"valid_cells": 65},
        {"valid_cells": -64},
        {"valid_cells": None},
        {"seconds": "0.5"},
        {"seconds": -0.5},
        {"seconds": 1e300},
        {"encode_s": [1.0]},
        {"worker": {"a": 1}},
        {"worker": ["w"]},
        {"holes": "abc"},
        {"holes": [{"reason": "gone"}]},
        {"holes": [{"reason": "gone", "uri": "a", "pieces": [[1, 2]]}]},
        {"holes": [{"reason": "gone", "uri": "a", "count": -3}]},
        {"holes": [[["deep"]]]},
        {"file_crc": "0123"},
        {"file_crc32": "0123"},
        {"at": "yesterday"},
        {"at": -1.0},
        {"event": "done "},
        {"event": ["done"]},
        {"store": 7},
    ],
    ids=str,
)
def test_a_finished_block_that_no_run_wrote_so(
    change: dict[str, Any], lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    good, bad = lines[1], {**lines[1], **change}
    state = ledger_of(tmp_path / "l", json.dumps(bad).encode()).state()
    assert (state.records, state.finished_now, state.last) == ({}, 0, 0.0)
    again = ledger_of(tmp_path / "l", json.dumps(bad).encode(), json.dumps(good).encode())
    assert again.state().records == {"r000-c001": RECORD}


@pytest.mark.parametrize(
    "change",
    [
        {"blocks": 13},
        {"blocks": "6"},
        {"todo": 101},
        {"patches": -1},
        {"cluster": None},
        {"anew": "yes"},
        {"identity": "x"},
    ],
    ids=str,
)
def test_a_start_that_no_run_wrote_so(
    change: dict[str, Any], lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    raw = json.dumps({**lines[0], **change}).encode()
    assert ledger_of(tmp_path / "l", raw).state().run is None


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"event":' * 100_000,
        b'{"event":"done","event":"done"}',
        b'{"at":NaN}',
        b'{"at":1e999}',
        b"\xff\xfe\x00",
        b'"done"',
        b"null",
        b"7" * 10_000,
        b"",
    ],
    ids=lambda raw: str(raw[:12]),
)
def test_what_is_no_line_at_all(raw: bytes, lines: list[dict[str, Any]], tmp_path: Path) -> None:
    good = json.dumps(lines[1]).encode()
    nested = good[:-1] + b',"more":' + raw + b"}"
    state = ledger_of(tmp_path / "l", raw, nested, good).state()
    assert state.records == {"r000-c001": RECORD}
    assert state.finished_now in (5, 10)  # With what is nested it may be another run's good line.


def test_a_key_twice_and_numbers_that_are_none(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    good = json.dumps(lines[1]).encode()
    twice = good[:-1] + b',"checksum":"' + b"cd" * 32 + b'"}'
    for number in (b"NaN", b"Infinity", b"-Infinity"):
        odd = good.replace(b'"seconds": 0.5', b'"seconds": ' + number)
        assert odd != good
        assert ledger_of(tmp_path / "l", odd, twice).state().records == {}


def test_a_line_without_an_end_is_not_held(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    path, good = tmp_path / "l", json.dumps(lines[1]).encode() + b"\n"
    with path.open("wb") as file:
        file.write(b'{"event":"done","block":"')
        for _ in range(3):
            file.write(b"x" * MOST_BYTES)
        file.write(b"\n" + good)
    assert JournalLedger(path, store="here").state().records == {"r000-c001": RECORD}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=500, deadline=None)
@given(data=st.data(), value=json_values)
def test_no_value_in_any_field_is_an_error_or_a_wrong_number(
    data: st.DataObject, value: Any, lines: list[dict[str, Any]], tmp_path_factory: Any
) -> None:
    line = data.draw(st.sampled_from(lines))
    key = data.draw(st.sampled_from([*line, "holes", "worker", "threads", "hardware"]))
    folder = tmp_path_factory.mktemp("any")
    raw = json.dumps({**line, key: value}, ensure_ascii=data.draw(st.booleans()))
    ledger = ledger_of(folder / "l", raw.encode(errors="surrogatepass"))
    state = ledger.state()
    for record in state.records.values():
        assert record.block.startswith("r00")
        assert 0 <= record.valid_cells <= GRID.cells
        assert record.patches >= 0
        assert math.isfinite(record.seconds)
        assert all(isinstance(hole, Hole) for hole in record.holes)
    assert len(state.records) <= 1
    # As do those who add up and print.
    json.dumps([state.content, state.digest, state.last, sorted(state.workers)], allow_nan=False)
    with ledger:
        ledger.record(RECORD)
    assert ledger.state().records["r000-c001"] == RECORD
    ledger.drop(["r000-c001"])
    assert "r000-c001" not in ledger.state().records
    shutil.rmtree(folder)


@settings(max_examples=300, deadline=None)
@given(flips=st.lists(st.integers(0), min_size=1, max_size=4))
def test_flipped_bits_cost_their_line(
    flips: list[int], lines: list[dict[str, Any]], tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("bits")
    good = bytearray(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    for flip in flips:
        good[flip // 8 % len(good)] ^= 1 << flip % 8
    (folder / "l").write_bytes(good)
    state = JournalLedger(folder / "l", store="here", blocks=GRID).state()
    assert set(state.records) <= {f"r{row:03d}-c{col:03d}" for row in range(2) for col in range(3)}
    shutil.rmtree(folder)
