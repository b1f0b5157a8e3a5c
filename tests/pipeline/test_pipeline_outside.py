"""Patches outside the polygon: not planned, not encoded, not missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from fixtures_plain_model import write_plain_job

from s2s_map.config.run import RunConfig
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.outputs.disk_ledger import JournalLedger
from s2s_map.outputs.ledger import LedgerState
from s2s_map.pipeline.embed.embed_blocks import embed_missing
from s2s_map.pipeline.engine.executor import ThreadsExecutor
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.plan import make_plan
from s2s_map.reporter import Reporter
from s2s_map.tiling.needed import needed_blocks
from s2s_map.tiling.region import region_mask

WEST, NORTH, SIDE = 600_000.0, 7_200_000.0, 960.0


class Elsewhere(ThreadsExecutor):
    """Threads that count patches block by block, as a cluster does."""

    local = False


class Counting(Reporter):
    total = done = 0

    def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
        self.total, self.done = total, done

    def advance(self, count: int) -> None:
        self.done += count


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside")
    write_plain_job(folder, blocks=3)
    square = shapely.box(WEST, NORTH - SIDE, WEST + SIDE, NORTH)
    # It has the square's bounds, and leaves whole blocks and parts of blocks out.
    corner = shapely.Polygon(
        [
            (WEST, NORTH - SIDE),
            (WEST, NORTH),
            (WEST + 130, NORTH - 700),
            (WEST + SIDE, NORTH - SIDE),
        ]
    )
    for name, shape in (("square", square), ("corner", corner)):
        geopandas.GeoSeries([shape], crs="EPSG:32721").to_file(folder / f"{name}.gpkg")
    return folder


def embedded(
    folder: Path, region: str, level: str, out: Path, executor: ThreadsExecutor
) -> tuple[Any, np.ndarray, LedgerState, Counting]:
    cell = {"token": 40, "patch": 80}[level]
    config = RunConfig(
        output=str(out),
        source="noise",
        region=str(folder / f"{region}.gpkg"),
        model="python:fixtures_plain_model:PLAIN",
        device="cpu",
        queries=[{"text": "waves"}],
        grid={"cell_m": cell, "block_cells": 320 // cell, "crs": "EPSG:32721"},
        patches={"stride_m": 80, "level": level},
    )
    job = resolve(config, [folder / "data_catalog.yaml"])
    out.mkdir()
    store = EmbeddingsStore.create(out / "e.zarr", job.grid, 8, job.time_slots, {})
    told = Counting()
    with JournalLedger(out / "ledger.jsonl") as ledger:
        embed_missing(job, store, ledger, told, executor)
        state = ledger.state()
    return job, store.read_rows(slice(0, job.grid.shape[0])), state, told


@pytest.mark.parametrize("executor", [ThreadsExecutor(2), Elsewhere(1)], ids=["here", "elsewhere"])
@pytest.mark.parametrize("level", ["token", "patch"])
def test_the_map_inside_is_the_same_for_fewer_patches(
    folder: Path, tmp_path: Path, level: str, executor: ThreadsExecutor
) -> None:
    whole, everywhere, all_done, _ = embedded(folder, "square", level, tmp_path / "all", executor)
    job, values, state, told = embedded(folder, "corner", level, tmp_path / "part", executor)
    assert job.grid == whole.grid
    inside = np.zeros(job.grid.shape, dtype=np.bool_)
    for block in job.grid.iter_blocks():
        inside[block.y, block.x] = region_mask(job.region, job.grid, block)
    assert 0 < inside.mean() < 0.3
    expected = np.where(inside[:, :, None], everywhere, np.nan)
    np.testing.assert_array_equal(values, expected)

    needed = [counted.block.key for counted in needed_blocks(job.grid, job.region).counted()]
    before = sum(all_done.records[key].patches for key in needed)
    encoded = sum(record.patches for record in state.records.values())
    assert encoded < 0.75 * before
    assert sorted(state.records) == sorted(needed)
    assert sum(r.valid_cells for r in state.records.values()) == np.isfinite(values[..., 0]).sum()
    # Some patches are in the scene's hole: planned and counted, not encoded.
    planned = make_plan(job).patches
    assert encoded <= planned < before
    assert told.done == told.total == planned
    assert state.run is not None
    assert (state.run.patches, state.run.todo) == (planned, planned)
    if level == "patch":
        assert planned == inside.sum()
