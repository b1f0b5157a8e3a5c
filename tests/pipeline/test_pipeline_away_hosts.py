"""A run whose file server falls silent ends, after a wait or two and not one for each block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from fixtures_cubes import BOUNDS, plain_cube, write_cube
from fixtures_plain_model import write_plain_job
from fixtures_servers import serve_app
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from s2s_map.config.cube import ZarrEntry
from s2s_map.errors import FailedRunError
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.opening.away_hosts import FAILURES
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status
from s2s_map.reporter import Reporter


@dataclass
class FallingSilent:
    """A file server that accepts requests and answers none of them any more.

    Attributes:
        url: Root address.
        answered: Requests to answer before it falls silent.
        silent: Requests since.
    """

    url: str = ""
    answered: float = float("inf")
    silent: int = 0


@contextmanager
def serve_falling_silent(folder: Path) -> Iterator[FallingSilent]:
    inner = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])
    state = FallingSilent()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        state.answered -= 1
        if state.answered >= 0:
            await inner(scope, receive, send)
            return
        state.silent += 1
        while (await receive())["type"] != "http.disconnect":
            pass

    with serve_app(app) as url:
        state.url = url
        yield state


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TIMEOUT", "1"), ("CONNECTTIMEOUT", "1"), ("MAX_RETRY", "0")):
        monkeypatch.setenv(f"GDAL_HTTP_{name}", value)


class Silencing(Reporter):
    """Has a server fall silent when the run comes to its blocks."""

    def __init__(self, server: FallingSilent) -> None:
        self._server = server

    def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
        if stage == "Embedding":
            self._server.answered = 0


@pytest.mark.parametrize("on_missing", ["nodata", "fail"])
def test_a_run_ends_when_its_server_falls_silent(
    on_missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = {"cell_m": 800, "block_cells": 8, "crs": "EPSG:32721"}
    write_plain_job(tmp_path, grid=grid, patches={"stride_m": 800, "level": "patch"})
    write_noise(tmp_path / "scene.tif")
    catalog = tmp_path / "data_catalog.yaml"
    entry = yaml.safe_load(catalog.read_text())["noise"]
    with serve_falling_silent(tmp_path) as server:
        changes = {"uri": f"{server.url}/scene.tif", "on_missing": on_missing}
        catalog.write_text(yaml.safe_dump({"noise": entry | changes}))
        monkeypatch.chdir(tmp_path)
        with suppress(FailedRunError):
            run("job.yaml", reporter=Silencing(server))
        silent = server.silent
    found = run_status(tmp_path / "out")
    reasons = {hole["block"]: hole["reason"] for hole in found.holes} | found.failed
    away = sum("is away" in reason for reason in reasons.values())
    assert away > 10
    assert away >= 0.8 * len(reasons)
    # Two read at a time, and each asks for some things before it gives up. 385 without a memory.
    assert FAILURES <= silent <= 20, silent


def write_noise(path: Path) -> None:
    """Write noise over a raster: more of it than is kept by whoever reads it."""
    with rasterio.open(path) as dataset:
        profile = dataset.profile
    shape = (3, 5120, 5120)
    profile |= {"compress": None, "width": shape[2], "height": shape[1]}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.random.default_rng(0).integers(1, 255, shape, dtype=np.uint8))


def test_a_store_on_a_silent_server_is_left_alone(tmp_path: Path) -> None:
    write_cube(plain_cube(), tmp_path / "cube.zarr")
    with serve_falling_silent(tmp_path) as server:
        fields = {"type": "zarr", "title": "t", "uri": f"{server.url}/cube.zarr"}
        fields |= {"sensor": "sentinel", "licence": "l", "attribution": "a"}
        source = open_source(ZarrEntry(**fields, on_missing="nodata"))  # type: ignore[arg-type]
        server.answered = 0
        reasons = []
        for i in range(10):
            west = BOUNDS[0] + 200.0 * i
            bounds = (west, BOUNDS[3] - 200.0, west + 200.0, BOUNDS[3])
            block = source.read(bounds, (20, 20), "EPSG:32632")
            assert not block.valid.any()
            reasons.append(block.holes[0].reason)
        silent = server.silent
    assert ["is away" in reason for reason in reasons] == [False] * FAILURES + [True] * 8
    # Three bands at once, each of one chunk.
    assert silent <= 3 * FAILURES
