"""Markers of blocks in an object store that no run wrote so are as good as not written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fixtures_objects import new_bucket, serve_s3, use_s3

from s2s_map.outputs.ledger import BlockFailure, BlockRecord, RunStart
from s2s_map.outputs.ledger_lines import Blocks
from s2s_map.outputs.path import ObjectPath
from s2s_map.outputs.s3_ledger import ObjectLedger

GRID = Blocks(2, 3, 64)
KEY = "r000-c001"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve_s3() as url:
        yield url


@pytest.fixture
def root(server: str, monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    use_s3(monkeypatch, server)
    return ObjectPath(f"s3://{new_bucket(server)}", "maps")


def ledger(root: ObjectPath) -> ObjectLedger:
    return ObjectLedger(root, store="here", blocks=GRID)


def finished(root: ObjectPath) -> BlockRecord:
    record = BlockRecord(KEY, "ab" * 32, 5, 64, 0.5, 16, data_tag='"tag"')
    with ledger(root) as written:
        written.start(RunStart(6, 100, 90, "threads", identity="0" * 64))
        written.record(record)
        written.fail(BlockFailure("r001-c002", "no file"))
        written.end("incomplete")
    return record


MARKERS: list[Any] = [
    {"block": "r009-c009"},
    {"block": "r000-c002"},  # As of another block's marker in its place.
    {"patches": "5"},
    {"valid_cells": 65},
    {"seconds": None},
    {"holes": [{"reason": 1}]},
    {"event": "start"},
    b"[" * 100_000,
    b"",
    b'{"event":"done","event":"done"}',
    b"null",
]


@pytest.mark.parametrize("change", MARKERS, ids=lambda change: str(change)[:30])
def test_a_marker_that_no_run_wrote_so(change: Any, root: ObjectPath) -> None:
    record = finished(root)
    assert ledger(root).state().records == {KEY: record}
    marker = root / "blocks" / f"{KEY}.json"
    good = marker.read_bytes()
    is_raw = isinstance(change, bytes)
    marker.write_bytes(change if is_raw else json.dumps({**json.loads(good), **change}).encode())
    assert ledger(root).state().records == {}
    marker.write_bytes(good)
    assert ledger(root).state().records == {KEY: record}


@pytest.mark.parametrize(
    "change",
    [
        {"start": {"event": "start", "blocks": 13}},
        {"start": []},
        {"failures": [1]},
        {"failures": {"r001-c002": {"event": "failed", "block": "r000-c000", "reason": "x"}}},
        {"end": {"event": "end", "how": {"a": 1}}},
        {"at": "now"},
        {"id": ["x"]},
    ],
    ids=str,
)
def test_parts_of_a_run_that_none_wrote_so(change: dict[str, Any], root: ObjectPath) -> None:
    record = finished(root)
    path = root / "ledger" / "run.json"
    path.write_bytes(json.dumps({**json.loads(path.read_bytes()), **change}).encode())
    state = ledger(root).state()
    assert state.records == {KEY: record}
    assert ("start" in change) == (state.run is None)
    assert ("failures" in change) == (state.failures == {})
    assert ("end" in change) == (state.ended is None)


def test_markers_together_that_no_run_wrote_so_are_fetched(root: ObjectPath) -> None:
    record = finished(root)
    together = root / "ledger" / "blocks.jsonl"
    line = json.loads(together.read_bytes())
    for change in ({"patches": "x"}, {"e_tag": ["x"]}, {"block": 3}):
        together.write_bytes(json.dumps({**line, **change}).encode() + b"\nnonsense\n")
        assert ledger(root).state().records == {KEY: record}
