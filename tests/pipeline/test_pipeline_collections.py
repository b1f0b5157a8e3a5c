"""A whole run over Landsat from a STAC API on loopback: searched, masked by bits, mapped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from fixtures_cli import call
from fixtures_collections import SIDE, bounds_of, recorded, scene_of
from fixtures_job import write_job
from fixtures_sentinel import write_items
from fixtures_servers import serve_folder, serve_stac
from rasterio.warp import transform_bounds

LANDSAT = recorded("landsat-c2-l2_planetary_computer")


def write_scenes(folder: Path, root: str) -> list[dict[str, Any]]:
    """One date; its western half is cloud by the bits of its mask."""
    rng = np.random.default_rng(0)
    bands = {
        name: rng.integers(8_000, 20_000, (SIDE, SIDE)).astype("uint16")
        for name in ("red", "green", "blue")
    }
    quality = np.full((SIDE, SIDE), 1 << 6, dtype=np.uint16)
    quality[:, : SIDE // 2] = 1 << 3
    day = {"datetime": "2020-06-01T23:46:20.477296Z", "eo:cloud_cover": 5.0}
    nodata: dict[str, float | None] = dict.fromkeys(bands, 0) | {"qa_pixel": 1}
    return [scene_of(folder, root, LANDSAT, {**bands, "qa_pixel": quality}, nodata, **day)]


def test_landsat_becomes_a_map_without_what_clouds_hide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bounds, crs = bounds_of(LANDSAT)
    box = transform_bounds(crs, "EPSG:4326", *bounds)
    config = write_job(
        tmp_path,
        source="landsat",
        region=[round(edge, 4) for edge in box],
        grid={"cell_m": 160, "block_cells": 16},
    )
    (tmp_path / "scenes").mkdir()
    with serve_folder(tmp_path / "scenes") as files:
        items = write_items(tmp_path / "items.json", write_scenes(tmp_path / "scenes", files.url))
        with serve_stac(items) as url:
            entry = {
                "type": "stac",
                "title": "Landsat",
                "url": url,
                "collection": "landsat-c2-l2",
                "time": "2020-05-01/2020-09-30",
                "sensor": {"gsd_m": 10.0, "patch_m": 1280.0},
                "licence": "public domain",
                "attribution": "USGS",
            }
            wrong = {**entry, "profile": "landsat-c2-12"}
            (tmp_path / "data_catalog.yaml").write_text(yaml.safe_dump({"landsat": wrong}))
            assert call("validate", config) == 2
            said = capsys.readouterr().err
            assert "did you mean landsat-c2-l2?" in said
            assert len(said.strip().splitlines()) == 1
            (tmp_path / "data_catalog.yaml").write_text(yaml.safe_dump({"landsat": entry}))
            assert call("plan", config) == 0
            assert "scenes of landsat-c2-l2 have 30 m a pixel" in capsys.readouterr().out
            assert call("run", config) == 0
    kept = json.loads((tmp_path / "out" / "search.json").read_text())
    assert [item["id"] for item in kept["features"]] == [LANDSAT["id"]]
    assert not json.loads((tmp_path / "out" / "run.json").read_text())["holes"]
    (layer,) = (tmp_path / "out").rglob("waves*.tif")
    with rasterio.open(layer) as image:
        found = image.read(1, masked=True)
        middle = (bounds[0] + bounds[2]) / 2.0
        west = transform_bounds(crs, image.crs, bounds[0], bounds[1], middle - 700, bounds[3])
        east = transform_bounds(crs, image.crs, middle + 400, bounds[1], bounds[2], bounds[3])
        clouded = image.window(*west).round_offsets().round_lengths()
        clear = image.window(*east).round_offsets().round_lengths()
        assert image.read(1, window=clear, masked=True).count() > 0
        assert image.read(1, window=clouded, masked=True).count() == 0
    assert 0 < found.count() < found.size
