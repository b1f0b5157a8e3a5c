"""A whole run over web tiles with a key: holes are reported, the key is nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fixtures_job import write_job
from fixtures_webtiles import pattern_png, serve_webtiles
from starlette.requests import Request
from starlette.responses import Response

from s2s_map.cli.main import main
from s2s_map.config.run import load_run_config
from s2s_map.encoding.vector_cache import vectors_folder
from s2s_map.imagery.sources.xyz.fetcher import close_fetchers
from s2s_map.imagery.sources.xyz.webtile import WebTile
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.plan import make_plan
from s2s_map.pipeline.verbs.run import run

pytestmark = pytest.mark.usefixtures("forked_processes")

KEY = "s3cret-key-0123456789"


def write_webtile_job(folder: Path, url: str, policy: str) -> Path:
    """Write a job of a few blocks over web tiles that need a key; returns its config."""
    config = write_job(
        folder,
        source="tiles",
        region=[6.0, 46.47, 6.06, 46.5],
        grid={"cell_m": 160, "block_cells": 16},
    )
    entry = {
        "type": "xyz",
        "title": "Keyed tiles",
        "url": f"{url}/{{z}}/{{x}}/{{y}}.png?key=${{MAP_KEY}}",
        "headers": {"X-Key": "${MAP_KEY}"},
        "env": ["MAP_KEY"],
        "sensor": {"gsd_m": 10.0, "patch_m": 1280.0},
        "licence": "CC0-1.0",
        "attribution": "nobody",
        "on_missing": policy,
        "manners": {"per_second": 1000, "attempts": 1, "breaker_failures": 500},
    }
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump({"tiles": entry}))
    return config


def run_cli(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from s2s_map.cli.main import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "MAP_KEY": KEY, "S2S_MAP_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def use_cache(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep web tiles in a folder of the test's own; embedded texts where all tests do."""
    vectors = vectors_folder()
    vectors.mkdir(parents=True, exist_ok=True)
    (folder / "cache").mkdir()
    (folder / "cache" / "vectors").symlink_to(vectors)
    patch.setenv("S2S_MAP_CACHE", str(folder / "cache"))


def leaks(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if KEY.encode() in path.read_bytes()]


def test_a_run_reports_holes_and_keeps_the_key_to_itself(tmp_path: Path) -> None:
    def answer(tile: WebTile, request: Request) -> Response | None:
        if request.headers.get("x-key") != KEY or request.query_params.get("key") != KEY:
            return Response("who are you?", 401)
        if (tile.x, tile.y) == (8466, 5818) or tile.x % 7 == 3:
            return Response(f"boom {KEY}", 500)
        return Response(pattern_png(tile.z, tile.x, tile.y), headers={"cache-control": "no-cache"})

    with serve_webtiles(answer) as server:
        config = write_webtile_job(tmp_path, server.url, "nodata")
        ended = run_cli(tmp_path, "run", str(config), "--debug")
        said = ended.stdout + ended.stderr
        assert ended.returncode == 3, said
        record = json.loads((tmp_path / "out" / "run.json").read_text())
        (hole,) = record["holes"]
        assert hole["reason"] == "status 500"
        assert hole["uri"] == f"{server.url}/{{z}}/{{x}}/{{y}}.png"
        # Neighbouring blocks miss the same web tiles: each counts once.
        missed = {path for path in server.asked if int(path.split("/")[2]) % 7 == 3}
        missed |= {path for path in server.asked if path.endswith("/8466/5818.png")}
        assert hole["count"] == len(missed)
        shown = json.loads(run_cli(tmp_path, "status", "out", "--json").stdout)
        assert sum(one["count"] for one in shown["holes"]) > hole["count"]
        assert KEY not in said
        assert not leaks(tmp_path)
        good = {path for path in server.asked if int(path.split("/")[2]) % 7 != 3}
        assert good


def test_an_expired_key_with_debug_says_so_without_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAP_KEY", KEY)
    use_cache(monkeypatch, tmp_path)
    with serve_webtiles(lambda tile, request: Response(f"{KEY} has expired", 403)) as server:
        config = write_webtile_job(tmp_path, server.url, "fail")
        ended = run_cli(tmp_path, "run", str(config), "--debug")
        said = ended.stdout + ended.stderr
        assert ended.returncode in (2, 3), said
        assert "status 403" in said
        assert KEY not in said
        assert not leaks(tmp_path)
        with pytest.raises(SystemExit, match="2"):
            main(["catalog", "check", "tiles", "--debug"])
        checked = capsys.readouterr()
        assert "status 403" in checked.out
        assert KEY not in checked.out + checked.err
        monkeypatch.delenv("MAP_KEY")
        with pytest.raises(SystemExit, match="2"):
            main(["catalog", "check", "tiles"])
        missing = capsys.readouterr().out.strip()
        assert len(missing.splitlines()) == 1
        assert "MAP_KEY" in missing
    close_fetchers()


@pytest.mark.parametrize("cell_m", [1280])
def test_a_whole_run_asks_for_what_the_plan_says_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell_m: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAP_KEY", KEY)
    use_cache(monkeypatch, tmp_path)
    body = pattern_png(14, 8464, 5818)
    headers = {"cache-control": "max-age=86400"}
    with serve_webtiles(lambda tile, request: Response(body, headers=headers)) as server:
        config = write_webtile_job(tmp_path, server.url, "fail")
        job = yaml.safe_load(config.read_text())
        # A triangle: what lies beyond it is neither embedded nor pictured.
        job["region"] = "POLYGON ((6 46.4, 6.08 46.4, 6.08 46.48, 6 46.4))"
        job["grid"] = {"cell_m": cell_m, "block_cells": 16 if cell_m == 160 else 4}
        job["patches"] = {"stride_m": min(cell_m, 320)}
        config.write_text(yaml.safe_dump(job))
        planned = make_plan(resolve(load_run_config(config))).requests
        assert planned is not None
        run(config)
        assert max(server.asked.values()) == 1
        assert server.requests == planned.count
    close_fetchers()
