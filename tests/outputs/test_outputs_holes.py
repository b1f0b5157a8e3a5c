"""A run with holes is not a clean run: it says so wherever one looks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures_job import write_job, write_scene
from fixtures_servers import serve_folder

from s2s_map.arrays import Hole
from s2s_map.cli.main import main
from s2s_map.config.batch import load_batch
from s2s_map.outputs.holes import RunHole, holes_of
from s2s_map.outputs.ledger import BlockRecord
from s2s_map.pipeline.batch.run_batch import run_batch
from s2s_map.pipeline.verbs.status import run_status

pytestmark = pytest.mark.usefixtures("forked_processes")

S2S_MAP = Path(sys.executable).with_name("s2s-map")
KEY = "qX7-fYw0pZ3kL9vT"


def change_entry(folder: Path, **fields: Any) -> None:
    path = folder / "data_catalog.yaml"
    catalog = yaml.safe_load(path.read_text())
    catalog["noise"].update(fields)
    path.write_text(yaml.safe_dump(catalog))


def call(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program as a process of its own, whose every word is caught."""
    return subprocess.run(  # noqa: PLW1510  (the code is looked at)
        [S2S_MAP, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "TILE_KEY": KEY, "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


def test_holes_add_up_over_blocks() -> None:
    def record(key: str, *holes: Hole) -> BlockRecord:
        return BlockRecord(key, "0", 1, 1, 1.0, 1, holes=holes)

    found = holes_of(
        [record("a", Hole("gone", "x", 3), Hole("gone", "y")), record("b", Hole("gone", "x")),
         record("c")]
    )  # fmt: skip
    assert found == (RunHole("gone", "x", 4, 2), RunHole("gone", "y", 1, 1))


@pytest.fixture
def holed(tmp_path: Path) -> Path:
    """Three scenes, one of them cut off in the middle of its pixels, another no image at all."""
    job = write_job(tmp_path)
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    (tmp_path / "scene.tif").unlink()
    write_scene(scenes / "a.tif")
    whole = (scenes / "a.tif").read_bytes()
    (scenes / "a.tif").write_bytes(whole[: len(whole) * 2 // 3])
    (scenes / "b.tif").write_text("not an image")
    write_scene(scenes / "c.tif")
    change_entry(tmp_path, uri="scenes/*.tif", on_missing="nodata")
    return job


def test_a_run_with_holes_ends_with_3_and_lists_them(
    holed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = holed.parent
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(folder)

    def here(*arguments: object) -> tuple[int, str, str]:
        code = 0
        try:
            main([str(a) for a in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    code, out, err = here("run", holed)
    assert code == 3, err
    assert "imagery could not be read" in err
    assert "holes in the imagery" in out
    assert "a.tif" in out
    # The maps are there.
    assert (folder / "out" / "waves.tif").is_file()
    listed = json.loads((folder / "out" / "run.json").read_text())["holes"]
    assert sorted({Path(hole["uri"]).name for hole in listed}) == ["a.tif", "b.tif"]
    assert all(set(hole) == {"reason", "uri", "count", "blocks"} for hole in listed)
    assert all(hole["reason"] and hole["blocks"] > 0 for hole in listed)
    code, out, _ = here("status", "out")
    assert code == 0
    assert "complete with holes" in out
    assert "b.tif" in out
    status = run_status(folder / "out")
    for hole in status.merged_holes:
        pair = (hole.uri, hole.reason)
        assert sum((h["uri"], h["reason"]) == pair for h in status.holes) == hole.blocks
    # Asked again it embeds nothing, and says so again.
    code, out, _ = here("run", holed)
    assert code == 3
    assert "(0 embedded now)" in out
    # Where a file must be there, the run does not begin.
    change_entry(folder, on_missing="fail")
    assert here("run", holed, "-o", "other")[0] == 2
    assert not (folder / "other").exists()


def test_a_batch_says_holes_each_time(
    holed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    batch = {
        "output": "maps",
        "regions": {"all": [-55.99, -25.4, -55.95, -25.33]},
        "sources": ["noise"],
        "models": ["model"],
        "queries": [{"text": "traffic"}],
        "defaults": {"grid": {"cell_m": 160, "block_cells": 16}, "patches": {"stride_m": 320}},
    }
    path = tmp_path / "batch.yaml"
    path.write_text(yaml.safe_dump(batch))
    loaded, runs = load_batch(path)
    for start in range(2):
        outcomes, code = run_batch(loaded, runs)
        assert (code, outcomes[0].state) == (3, "holes"), (start, outcomes)
        assert "imagery could not be read" in outcomes[0].reason
    record = json.loads((tmp_path / "maps" / "batch.json").read_text())["runs"][0]
    assert (record["state"], record["exit_code"]) == ("holes", 3)
    # The second start did not run it again.
    assert outcomes[0].seconds == 0


@pytest.mark.parametrize("place", ["path", "query"])
def test_a_key_is_found_nowhere(tmp_path: Path, place: str) -> None:
    job = write_job(tmp_path / "here")
    served = tmp_path / "served"
    (served / KEY).mkdir(parents=True)
    good = served / (KEY if place == "path" else "") / "good.tif"
    (tmp_path / "here" / "scene.tif").rename(good)
    # Headers are read, then the server ends the favour.
    with serve_folder(served) as files:
        asked = {"count": 0}

        def refuse(path: str, query: str) -> bool:
            asked["count"] += "bad" in path
            return "bad" in path and asked["count"] > 2

        files.refuse = refuse
        (good.parent / "bad.tif").write_bytes(good.read_bytes())
        at = f"{files.url}/${{TILE_KEY}}" if place == "path" else files.url
        end = "" if place == "path" else "?key=${TILE_KEY}"
        change_entry(
            job.parent,
            uri=[f"{at}/bad.tif{end}", f"{at}/absent.tif{end}", f"{at}/good.tif{end}"],
            env=["TILE_KEY"],
            on_missing="nodata",
        )
        with_holes = call(job.parent, "run", job, "--debug")
        assert with_holes.returncode == 3, with_holes.stderr
        shown = call(job.parent, "status", "out", "--json")
        change_entry(job.parent, on_missing="fail")
        failing = call(job.parent, "run", job, "-o", "other", "--debug")
        assert failing.returncode in (2, 3)
        assert "Traceback" in failing.stderr
        assert any(KEY in request for request in files.requests)
    for done in (with_holes, shown, failing):
        assert KEY not in done.stdout + done.stderr
    assert "${TILE_KEY}" in with_holes.stdout if place == "path" else True
    for path in job.parent.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
