"""Explaining a place of a finished run, with a tiny model that takes metadata."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fixtures_job import write_job, write_scene
from fixtures_models import TINY_META
from PIL import Image
from pyproj import Transformer

from s2s_map.config.run import load_run_config
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import OutputMismatchError, QueryError, RegionError, StoreError
from s2s_map.pipeline.verbs.explain import explain
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run

SLOTS = [{"month": 5, "hour": 13}, {"month": 12, "hour": 3}]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    return write_job(
        folder,
        network=TINY_META,
        precision="fp32",
        metadata={"time_slots": SLOTS},
        patches={"stride_m": 640, "level": "patch"},
        grid={"cell_m": 640, "block_cells": 4},
    )


@pytest.fixture(autouse=True)
def _in_folder(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(job.parent)


@pytest.fixture(scope="module")
def finished(job: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(job.parent)
        return run(job).folder


def place(x: float, y: float) -> tuple[float, float]:
    back = Transformer.from_crs("EPSG:32721", "EPSG:4326", always_xy=True)
    lon, lat = back.transform(x, y)
    return lon, lat


CENTRE = place(602_000, 7_197_000)


def test_the_patch_is_that_of_the_map(finished: Path) -> None:
    found = explain(finished, *CENTRE, "birds", minus=["traffic"], time_slot="12-03h")
    # At level patch a cell is a patch: what is explained is what the map says, to float16.
    assert found.similarity == pytest.approx(found.cell_similarity, abs=2e-3)
    other = explain(finished, *CENTRE, "birds", minus=["traffic"])
    assert other.similarity != pytest.approx(found.similarity, abs=1e-4)
    assert found.heat.shape == (14, 14)
    assert found.picture.name.startswith("birds-minus-traffic_")
    assert found.picture.stem.endswith("12-03h")


def test_codes_add_up(finished: Path) -> None:
    found = explain(finished, *CENTRE, "birds", codes=64)
    assert sum(code.weight for code in found.codes) == pytest.approx(1, abs=1e-4)
    total = sum(code.contribution for code in found.codes)
    assert total == pytest.approx(found.similarity, abs=1e-4)
    weights = [code.weight for code in found.codes]
    assert weights == sorted(weights, reverse=True)
    for code in found.codes:
        shown = [activation for _, activation in code.texts]
        assert len(shown) == 3
        assert shown == sorted(shown, reverse=True)


def test_picture_and_report_are_written(finished: Path) -> None:
    found = explain(finished, *CENTRE, "birds")
    with Image.open(found.picture) as picture:
        assert picture.width > 1500
    report = json.loads(found.report.read_text())
    assert report["query"]["text"] == "birds"
    assert report["time_slot"] == "05-13h"
    assert np.array(report["token_similarity"]).shape == (14, 14)
    assert report["codes"][0]["texts"][0]["text"]
    west, south, east, north = report["patch"]["bounds"]
    assert (east - west, north - south) == (1280, 1280)
    lon, lat = report["patch"]["centre"]["lon"], report["patch"]["centre"]["lat"]
    assert (lon, lat) == pytest.approx(CENTRE, abs=0.005)
    assert report["metadata"]["hour_reference"] == "solar"
    assert not list(found.picture.parent.glob(".*"))


def test_places_without_data_name_the_nearest_with(finished: Path) -> None:
    with pytest.raises(RegionError, match="outside the map; the nearest cell with data is at"):
        explain(finished, *place(590_000, 7_197_000), "birds")
    # The eastern quarter of the scene is empty.
    with pytest.raises(RegionError, match=r"no data; the nearest .* km away") as caught:
        explain(finished, *place(605_900, 7_197_000), "birds")
    words = str(caught.value).partition(" is at ")[2].split()
    lon, lat = float(words[0]), float(words[1].rstrip(","))
    assert explain(finished, lon, lat, "birds").codes
    with pytest.raises(RegionError, match="longitude -180 to 180"):
        explain(finished, 300.0, 5.0, "birds")


def test_refuses(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no question"):
        explain(finished, *CENTRE)
    with pytest.raises(QueryError, match="no time slot '06'; expected one of 05-13h, 12-03h"):
        explain(finished, *CENTRE, "birds", time_slot="06")
    with pytest.raises(StoreError, match="no finished run"):
        explain(tmp_path, *CENTRE, "birds")


def test_refuses_imagery_that_has_changed(job: Path, finished: Path) -> None:
    scene = job.parent / "scene.tif"
    kept = scene.read_bytes()
    try:
        write_scene(scene, empty=True)
        scene.write_bytes(scene.read_bytes() + b"\0" * 8)
        with pytest.raises(OutputMismatchError, match="has changed: source"):
            explain(finished, *CENTRE, "birds")
    finally:
        scene.write_bytes(kept)


def test_embeddings_of_before_mirrored_borders_are_read_but_not_gone_on_with(
    job: Path, finished: Path, tmp_path: Path
) -> None:
    old = Path(shutil.copytree(finished, tmp_path / "old"))
    store = EmbeddingsStore.open(old / "embeddings.zarr")
    identity = json.loads(json.dumps(store.attributes["identity"]))
    assert identity["patches"].pop("no_data") == "mirrored"
    store.amend({"identity": identity})
    assert explain(old, *CENTRE, "birds").codes
    assert "a-dog-barking" in query(old, "a dog barking").concepts
    config = load_run_config(job).model_copy(update={"output": str(old)})
    with pytest.raises(OutputMismatchError, match=r"patches\.no_data: none -> mirrored"):
        run(config)


def test_the_store_is_left_alone(finished: Path) -> None:
    before = EmbeddingsStore.open(finished / "embeddings.zarr").attributes
    explain(finished, *CENTRE, "rain")
    assert EmbeddingsStore.open(finished / "embeddings.zarr").attributes == before
