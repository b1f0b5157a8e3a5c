"""Logs for programs: every line of standard error is an object, and none holds a key."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import rasterio.warp
import yaml
from fixtures_faults import FailAt
from fixtures_plain_model import MODEL, write_plain_job

from s2s_map.cli.json_log import JsonReporter
from s2s_map.cli.main import main
from s2s_map.config.run import RunConfig
from s2s_map.outputs.disk_ledger import JournalLedger
from s2s_map.pipeline.verbs.run import run
from s2s_map.redaction import known

pytestmark = pytest.mark.usefixtures("forked_processes")

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers = handlers


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    return write_plain_job(tmp_path, blocks=2)


def lines(err: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in err.splitlines()]
    for line in found:
        assert datetime.fromisoformat(line["time"]).tzinfo is not None
        assert line["level"] in ("info", "warning", "error")
        assert line["event"]
    return found


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0), lines(capsys.readouterr().err)


def test_a_run_and_a_query(job: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    code, told = call(capsys, "run", "job.yaml", "--log-json")
    assert code == 0
    blocks = [line for line in told if line["event"] == "block done"]
    assert {line["block"] for line in blocks} == {f"r00{y}-c00{x}" for y in (0, 1) for x in (0, 1)}
    records = JournalLedger(Path("out/ledger.jsonl")).state().records
    for line in blocks:
        assert line["counts"]["patches"] == records[line["block"]].patches > 0
        assert line["counts"]["valid_cells"] == records[line["block"]].valid_cells
    stages = [(line["event"], line["stage"]) for line in told if "stage" in line]
    assert stages[:2] == [("stage started", "Embedding"), ("stage finished", "Embedding")]
    ended = next(line for line in told if line["event"] == "stage finished")
    assert ended["counts"]["done"] == ended["counts"]["total"]

    code, told = call(capsys, "query", "out", "rain", "--log-json")
    assert code == 0
    assert [line["stage"] for line in told if line["event"] == "stage started"] == [
        "Scoring",
        "Writing",
    ]


def test_errors_and_holes_are_lines_too(
    job: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = call(capsys, "run", "nothing.yaml", "--log-json")
    assert code == 2
    assert (told[-1]["event"], told[-1]["exit_code"]) == ("error", 2)
    assert "nothing.yaml" in told[-1]["reason"]

    run(RunConfig(**job), reporter=JsonReporter(), on_stage=FailAt(("r000-c001",)))
    failed = [x for x in lines(capsys.readouterr().err) if x["event"] == "block failed"]
    assert [(x["block"], x["final"], x["level"]) for x in failed] == [
        ("r000-c001", False, "warning"),
        ("r000-c001", True, "error"),
    ]
    assert all("no imagery for r000-c001" in x["reason"] for x in failed)


def test_keys_are_taken_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "_values", {"not-for-logs": "A_KEY"})
    watch = JsonReporter()
    watch.note("GET https://a.test/1.tif?token=abc with not-for-logs")
    watch.block_failed("r000-c000", "https://me:word@a.test said no", final=True)
    logging.getLogger("some.library").warning("key=%s", "hidden-from-logs")
    err = capsys.readouterr().err
    told = lines(err)
    assert told[0]["reason"] == "GET https://a.test/1.tif with ${A_KEY}"
    assert told[1]["reason"] == "https://a.test said no"
    assert told[2] | {"time": 0} == {
        "time": 0,
        "level": "warning",
        "event": "log",
        "logger": "some.library",
        "reason": "key=[hidden]",
    }
    for secret in ("not-for-logs", "abc", "word@", "hidden-from-logs"):
        assert secret not in err


def test_a_batch_elsewhere_than_its_file_says(
    job: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    west, south, east, north = rasterio.warp.transform_bounds(
        "EPSG:32721", "EPSG:4326", 600_150, 7_199_500, 600_400, 7_199_800
    )
    batch = {
        "output": "maps",
        "regions": {"here": [west, south, east, north]},
        "sources": ["noise"],
        "models": [MODEL],
        "queries": [{"text": "traffic"}],
        "defaults": {name: job[name] for name in ("device", "grid", "patches")},
    }
    Path("batch.yaml").write_text(yaml.safe_dump(batch))
    # No GPU or no dask-cuda: either is said by the run, in its own log of JSON lines.
    code, told = call(capsys, "batch", "run", "batch.yaml", "--cluster", "cuda", "--log-json")
    assert code == 2
    assert (told[0]["event"], told[0]["state"], told[0]["exit_code"]) == ("run ended", "failed", 2)
    assert told[0]["reason"].startswith("cluster: cuda ")
    (log,) = Path("maps/runs").glob("*.log")
    assert lines(log.read_text())[-1]["reason"] == told[0]["reason"]

    code, told = call(capsys, "batch", "run", "batch.yaml", "--cluster", "threads", "--log-json")
    assert (code, told[0]["state"], told[0]["counts"]["patches"] > 0) == (0, "complete", True)
    code, told = call(capsys, "batch", "run", "batch.yaml", "--cluster", "clouds", "--log-json")
    assert code == 2
    assert "takes threads, local, cuda" in told[-1]["reason"]
