"""Whole runs over a WMTS by its capabilities: web mercator and a national grid, the same map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from fixtures_cli import call
from fixtures_job import write_job
from fixtures_webtiles import use_cache
from fixtures_wmts import serve_wmts
from numpy.typing import NDArray

from s2s_map.imagery.sources.xyz.fetcher import close_fetchers

LAYER = "ORTHOIMAGERY.ORTHOPHOTOS"


def test_two_matrix_sets_of_one_layer_make_one_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_cache(monkeypatch, tmp_path)
    found: dict[str, NDArray[np.float32]] = {}
    with serve_wmts("ign_geoportail") as server:
        for name, level in (("PM", "14"), ("LAMB93", "14")):
            config = write_job(
                tmp_path / name,
                source="ortho",
                region=[6.0, 46.47, 6.06, 46.5],
                grid={"cell_m": 160, "block_cells": 16, "crs": "EPSG:2154"},
            )
            entry = {
                "type": "xyz",
                "title": "Orthophotos",
                "capabilities": f"{server.url}/WMTSCapabilities.xml",
                "layer": LAYER,
                "matrix_set": name,
                "sensor": {"gsd_m": 10.0, "patch_m": 1280.0},
                "licence": "Etalab-2.0",
                "attribution": "IGN",
                "manners": {"per_second": 1000},
            }
            monkeypatch.chdir(tmp_path / name)
            catalog = tmp_path / name / "data_catalog.yaml"
            catalog.write_text(yaml.safe_dump({"ortho": entry | {"layer": "ORTHO"}}))
            assert call("validate", config) == 2
            said = capsys.readouterr().err
            assert f"one of {LAYER}, PLAN.IGN" in said
            assert len(said.strip().splitlines()) == 1
            catalog.write_text(yaml.safe_dump({"ortho": entry}))
            assert call("plan", config) == 0
            said = " ".join(capsys.readouterr().out.split())
            assert f"layer {LAYER}, matrix set {name}, level {level}" in said
            assert call("run", config) == 0
            capsys.readouterr()
            (layer,) = (tmp_path / name / "out").rglob("waves*.tif")
            with rasterio.open(layer) as image:
                found[name] = image.read(1, masked=True).filled(np.nan)
    close_fetchers()
    mercator, lambert = found["PM"], found["LAMB93"]
    assert (np.isfinite(mercator) == np.isfinite(lambert)).all()
    seen = np.isfinite(mercator)
    assert seen.mean() > 0.5
    assert np.corrcoef(mercator[seen], lambert[seen])[0, 1] > 0.99
