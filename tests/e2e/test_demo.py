"""The demo as a user runs it: the whole scene, the embedded model, other people's readers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from fixtures_wheel import install_wheel
from rio_cogeo.cogeo import cog_validate

import s2s_map
from s2s_map.config.run import load_run_config
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.plan import make_plan

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "workflows" / "demo.yaml"
POINTS = ROOT / "tests" / "data" / "iguacu_points" / "points.csv"
CLASSES = {"waves": "water", "traffic": "city", "forest": "forest", "farm": "farmland"}

# Slow for the whole scene through the real model.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    # No overlap: a sixteenth of the patches, and what is asserted of the maps holds as well.
    config = out.with_name("demo.yaml")
    config.write_text(DEMO.read_text().replace("stride_m: 640 ", "stride_m: 2560 "))
    # By what the wheel alone installs, without extras: the core needs nothing else.
    installed = install_wheel(tmp_path_factory.mktemp("wheel"))
    done = subprocess.run(
        [installed, "run", config, "-o", out], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Embedding: 675 patches" in done.stderr
    return out


def test_the_shipped_config_is_planned_as_before() -> None:
    assert make_plan(resolve(load_run_config(DEMO))).patches == 10_692


def auc(positive: pd.Series, scores: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, scores))


def at_points(path: Path, band: int) -> tuple[pd.DataFrame, np.ndarray]:
    points = pd.read_csv(POINTS)
    with rasterio.open(path) as maps:
        values = maps.sample(zip(points.x, points.y, strict=True), indexes=band)
        return points, np.array([v[0] for v in values])


@pytest.mark.parametrize(("concept", "label"), CLASSES.items())
def test_sounds_are_where_they_belong(demo: Path, concept: str, label: str) -> None:
    for band in (1, 2):
        points, scores = at_points(demo / f"{concept}.tif", band)
        assert auc(points.label == label, scores) >= 0.95


@pytest.mark.parametrize("name", [*CLASSES, "owl", "imagery"])
def test_geotiffs_are_valid_cogs(demo: Path, name: str) -> None:
    valid, errors, warnings = cog_validate(demo / f"{name}.tif", strict=True)
    assert (valid, errors, warnings) == (True, [], [])


def test_zarr_opens_with_xarray_and_gdal(demo: Path) -> None:
    with xr.open_zarr(demo / "maps.zarr") as maps:
        assert maps.probability.dims == ("concept", "time", "y", "x")
        assert list(maps.concept.values) == [*CLASSES, "owl"]
        waves = maps.probability.sel(concept="waves").values[0]
    with rasterio.open(f'ZARR:"{demo / "maps.zarr"}":/probability') as gdal:
        assert (gdal.crs.to_epsg(), gdal.count) == (32621, 5)
        np.testing.assert_array_equal(gdal.read(1), waves)
    with rasterio.open(demo / "waves.tif") as cog:
        assert cog.transform.e < 0


def test_record_says_what_was_done(demo: Path) -> None:
    record = json.loads((demo / "run.json").read_text())
    softmax = record["concepts"]["waves"]["query"]["softmax"]
    assert softmax["calibrated"] is False
    assert len(softmax["vocabulary_sha256"]) == 64
    item = json.loads((demo / "item.json").read_text())
    assert {"waves", "waves-style", "maps", "embeddings", "thumbnail", "run"} <= set(item["assets"])


def test_a_later_question_needs_no_imagery(demo: Path) -> None:
    opened = s2s_map.query(demo, "boats on a reservoir", name="boats")
    assert "boats" in opened.concepts
    points, scores = at_points(demo / "boats.tif", 2)
    assert auc(points.label == "water", scores) >= 0.95
