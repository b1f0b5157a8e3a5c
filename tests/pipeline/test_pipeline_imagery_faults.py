"""Whole runs on imagery that misbehaves, and on cubes: what is missing is said, and is no data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
import yaml
from fixtures_cli import call
from fixtures_cubes import write_cube
from fixtures_job import write_job
from fixtures_sentinel import SceneSpec, item_of, write_items, write_scene_files
from fixtures_servers import serve_app, serve_folder, serve_nothing, serve_stac
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from s2s_map.pipeline.verbs.run import run


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a second time, after a moment, and wait a second at most."""
    for name, value in {
        "GDAL_HTTP_MAX_RETRY": 2,
        "GDAL_HTTP_RETRY_DELAY": 0.05,
        "GDAL_HTTP_TIMEOUT": 1,
        "GDAL_HTTP_CONNECTTIMEOUT": 1,
    }.items():
        monkeypatch.setenv(name, str(value))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Where there is a map if only the good scene is there."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(write_job(folder))
    with rasterio.open(folder / "out" / "waves.tif") as layer:
        return layer.read_masks(1)


class Server:
    """Serves one file by ranges, or misbehaves."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.count = 0
        self.app = Starlette(routes=[Route("/{kind}/{name}", self.answer)])

    async def answer(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        self.count += 1
        if kind == "html":
            return Response("<html>Sign in</html>", media_type="text/html")
        if kind == "500" or (kind == "once500" and self.count == 1):
            return Response("oops", 500)
        if kind == "429" or (kind == "once429" and self.count == 1):
            return Response("slow down", 429, {"Retry-After": "0"})
        if kind == "cut":
            return self._ranged(request, self.content[: len(self.content) // 2])
        return self._ranged(request, self.content)

    @staticmethod
    def _ranged(request: Request, content: bytes) -> Response:
        asked = request.headers.get("range", "").removeprefix("bytes=")
        if not asked:
            return Response(content)
        start, end = (int(part) if part else len(content) - 1 for part in asked.split("-"))
        if start >= len(content):
            return Response(status_code=416)
        part = content[start : end + 1]
        span = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        return Response(part, 206, {"Content-Range": span})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Server]]:
    write_job(tmp_path / "served")
    serving = Server((tmp_path / "served" / "scene.tif").read_bytes())
    with serve_app(serving.app) as url:
        yield url, serving


def change_entry(folder: Path, **fields: Any) -> None:
    path = folder / "data_catalog.yaml"
    catalog = yaml.safe_load(path.read_text())
    catalog["noise"].update(fields)
    path.write_text(yaml.safe_dump(catalog))


def holes(folder: Path) -> list[dict[str, Any]]:
    found = json.loads((folder / "out" / "run.json").read_text())["holes"]
    return sorted(found, key=lambda hole: str(hole["uri"]))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["500", "429", "html", "cut", "dns"])
def test_servers_that_misbehave_leave_holes(
    kind: str,
    tmp_path: Path,
    server: tuple[str, Server],
    alone: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    url, _ = server
    bad = "http://nowhere.invalid/a.tif" if kind == "dns" else f"{url}/{kind}/a.tif"
    job = write_job(tmp_path)
    # The scene beside it has no data in its eastern quarter.
    change_entry(tmp_path, uri=[bad, "scene.tif"], on_missing="nodata")
    assert call("run", job) == 3
    assert {hole["uri"] for hole in holes(tmp_path)} == {bad}
    assert all(hole["reason"] for hole in holes(tmp_path))
    # What the scene beside it shows, and no data where it has none: not what black ground gives.
    with rasterio.open(tmp_path / "out" / "waves.tif") as layer:
        assert np.array_equal(layer.read_masks(1), alone)
        assert 0.3 < (alone > 0).mean() < 0.9
    if kind in ("dns", "html"):
        change_entry(tmp_path, on_missing="fail")
        assert call("run", job, "-o", "other") == 2


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["once500", "once429"])
def test_what_passes_is_tried_again(
    kind: str, tmp_path: Path, server: tuple[str, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = write_job(tmp_path)
    change_entry(tmp_path, uri=f"{server[0]}/{kind}/a.tif")
    assert call("run", job) == 0
    assert server[1].count > 1
    assert holes(tmp_path) == []


@pytest.mark.usefixtures("impatient")
def test_a_raster_server_that_hangs_is_a_hole_or_stops_the_run(
    tmp_path: Path, alone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    job = write_job(tmp_path)
    with serve_nothing() as url:
        change_entry(tmp_path, uri=[f"{url}/a.tif", "scene.tif"], on_missing="nodata")
        assert call("run", job) == 3
        assert [hole["uri"] for hole in holes(tmp_path)] == [f"{url}/a.tif"]
        with rasterio.open(tmp_path / "out" / "waves.tif") as layer:
            assert np.array_equal(layer.read_masks(1), alone)
        change_entry(tmp_path, on_missing="fail")
        assert call("run", job, "-o", "other") == 2
        assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("impatient")
def test_a_scene_of_a_search_on_a_server_that_hangs_is_a_hole_or_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    folder = tmp_path / "api"
    good = SceneSpec("good", "EPSG:32632", 267_400.0, 5_155_000.0, tile="32T")
    hung = replace(good, name="hung", tile="32S", day="2020-07-01T10:00:00Z")
    write_scene_files(folder, good)
    with serve_folder(folder) as files, serve_nothing() as silent:
        items = [item_of(good, files.url), item_of(hung, silent)]
        with serve_stac(write_items(folder / "items.json", items)) as api:
            job = write_job(
                tmp_path / "job",
                region=[5.99, 46.485, 6.01, 46.495],
                grid={"cell_m": 160, "block_cells": 64},
            )
            stac = {"type": "stac", "url": api, "collection": "sentinel-2-l2a"}
            stac |= {"time": "2020-01-01/2020-12-31", "on_missing": "nodata"}
            change_entry(job.parent, **stac, sensor={"gsd_m": 10.0, "patch_m": 640.0})
            catalog = yaml.safe_load((job.parent / "data_catalog.yaml").read_text())
            del catalog["noise"]["uri"]
            (job.parent / "data_catalog.yaml").write_text(yaml.safe_dump(catalog))
            monkeypatch.chdir(job.parent)
            assert call("run", job) == 3
            (hole,) = holes(job.parent)
            assert hole["uri"] == "sentinel-2-l2a/hung"
            assert hole["reason"]
            with rasterio.open(job.parent / "out" / "waves.tif") as layer:
                assert layer.read_masks(1).any()
            change_entry(job.parent, on_missing="fail")
            assert call("run", job, "-o", "other") in (2, 3)
            said = json.dumps([json.loads(line) for line in _ledger(job.parent / "other")])
            assert "sentinel-2-l2a/hung" in said


def _ledger(folder: Path) -> list[str]:
    return (folder / "ledger.jsonl").read_text().splitlines()


def test_one_corrupted_file_of_fifty_is_one_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = write_job(tmp_path)
    folder = tmp_path / "scenes"
    folder.mkdir()
    with rasterio.open(tmp_path / "scene.tif") as whole:
        pixels, profile = whole.read(), whole.profile
    for i in range(50):
        row, col = i // 10 * 40, i % 10 * 20
        place = rasterio.windows.Window(col, row, 20, 40)
        profile |= {"height": 40, "width": 20, "transform": whole.window_transform(place)}
        with rasterio.open(folder / f"{i:02d}.tif", "w", **profile) as part:
            part.write(pixels[:, row : row + 40, col : col + 20])
    broken = folder / "22.tif"
    broken.write_bytes(broken.read_bytes()[:100])
    change_entry(tmp_path, uri="scenes", on_missing="nodata")
    assert call("run", job) == 3
    assert [Path(hole["uri"]).name for hole in holes(tmp_path)] == ["22.tif"]
    change_entry(tmp_path, on_missing="fail")
    assert call("run", job, "-o", "other") == 2
    assert not (tmp_path / "other").exists()


def test_a_signature_that_expires_and_an_asset_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "api"
    east = SceneSpec("east", "EPSG:32632", 267_400.0, 5_155_000.0, tile="32T")
    bare = replace(east, name="bare", tile="32S", day="2020-07-01T10:00:00Z")
    for spec in (east, bare):
        write_scene_files(folder, spec)
    fetched = [0]

    async def token(request: Request) -> JSONResponse:
        fetched[0] += 1
        return JSONResponse(
            {"token": f"sig=s3cret-{fetched[0]}", "msft:expiry": "2999-01-01T00:00:00Z"}
        )

    tokens = Starlette(routes=[Route("/token/{collection}", token)])
    with serve_folder(folder) as files, serve_app(tokens) as token_url:
        items = [item_of(spec, files.url) for spec in (east, bare)]
        del items[1]["assets"]["green"]
        path = write_items(folder / "items.json", items)

        def refuse(path: str, query: str) -> bool:
            # The first token is good for the first scenes only.
            return query == "sig=s3cret-1" and len(files.requests) > 6

        files.refuse = refuse
        with serve_stac(path) as api:
            job = write_job(tmp_path / "job", region=[5.97, 46.482, 6.03, 46.497])
            change_entry(
                job.parent,
                type="stac",
                url=api,
                collection="sentinel-2-l2a",
                time="2020-01-01/2020-12-31",
                sensor={"gsd_m": 10.0, "patch_m": 640.0},
                token_url=token_url + "/token/{collection}",
            )
            catalog = yaml.safe_load((job.parent / "data_catalog.yaml").read_text())
            del catalog["noise"]["uri"]
            (job.parent / "data_catalog.yaml").write_text(yaml.safe_dump(catalog))
            monkeypatch.chdir(job.parent)
            assert call("run", job) == 3
    assert fetched[0] >= 2
    found = {hole["uri"]: hole["reason"] for hole in holes(job.parent)}
    assert found == {"sentinel-2-l2a/bare": "no asset green"}
    search = (job.parent / "out" / "search.json").read_text()
    assert len(json.loads(search)["features"]) == 2
    for written in job.parent.rglob("*"):
        if written.is_file():
            assert b"s3cret" not in written.read_bytes(), written


def test_a_cube_gives_the_map_of_the_file_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = write_job(tmp_path)
    with rasterio.open(tmp_path / "scene.tif") as scene:
        pixels, t = scene.read(), scene.transform
    rows, cols = pixels.shape[1:]
    dataset = xr.Dataset(
        {"rgb": (("time", "band", "y", "x"), np.stack([pixels, pixels[::-1]]))},
        {
            "time": np.array(["2024-05-01", "2024-06-01"], "datetime64[ns]"),
            "y": t.f + (np.arange(rows) + 0.5) * t.e,
            "x": t.c + (np.arange(cols) + 0.5) * t.a,
        },
        {"proj:code": "EPSG:32721"},
    )
    write_cube(dataset, tmp_path / "cube.zarr")
    change_entry(tmp_path, uri="scene.tif")
    file = run(job).maps["similarity"].to_numpy()
    entry = {"type": "zarr", "uri": "cube.zarr", "variable": "rgb", "nodata": 0}
    change_entry(tmp_path, **entry, time="2024-05-01")
    text = job.read_text()
    job.write_text(text.replace(str(tmp_path / "out"), str(tmp_path / "cube")))
    cube = run(job).maps["similarity"].to_numpy()
    assert np.array_equal(cube, file, equal_nan=True)
    # The latest is kept with the run, and goes on after a later time has come.
    change_entry(tmp_path, time="latest", bands=[3, 2, 1])
    job.write_text(text.replace(str(tmp_path / "out"), str(tmp_path / "latest")))
    assert np.array_equal(run(job).maps["similarity"].to_numpy(), file, equal_nan=True)
    kept = json.loads((tmp_path / "latest" / "search.json").read_text())
    assert kept["s2s_map:times"]["times"] == [["2024-06-01T00:00:00"]]
