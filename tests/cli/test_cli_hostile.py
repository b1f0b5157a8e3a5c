"""Hostile configs, catalogs, rasters, recordings and ledgers: one line each, and nothing left.

S2S_MAP_FUZZ=20000 tries as many other examples of each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fixtures_cli import call
from fixtures_hostile import EXAMPLES, Damage, Told, as_yaml, changed, damage, fuzz, harmed
from fixtures_hostile_files import (
    BYTES,
    RASTERS,
    SOUNDS,
    RasterSpec,
    SoundSpec,
    write_hostile_raster,
    write_hostile_sound,
)
from fixtures_job import write_job, write_scene
from fixtures_models import TINY_META
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from s2s_map.config.model import EventsAudioConfig
from s2s_map.config.run import load_run_config
from s2s_map.models.events.card import CARD_FILE, WEIGHTS_FILE
from s2s_map.models.registry import EMBEDDED
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.plan import make_plan

CONFIG = {
    "output": "out",
    "title": "Noise",
    "source": "noise",
    "region": [-55.98, -25.34, -55.95, -25.32],
    "model": "model",
    "queries": [
        {"name": "waves", "text": "waves on a shore"},
        {"texts": ["birds", "crickets"], "minus": ["traffic"]},
        {"audio": "tone.wav"},
    ],
    "grid": {"cell_m": 160, "crs": "EPSG:32721", "block_cells": 16},
    "patches": {"size_m": 1280, "zoom": 1, "stride_m": 320, "level": "token",
                "resampling": "block"},
    "metadata": {"time_slots": [{"month": 5, "hour": 13}], "hour_reference": "solar"},
    "probability": {"method": "softmax", "temperature": 0.05, "max_cosine": 0.7},
    "device": "cpu",
    "precision": "fp32",
    "batch_size": 16,
    "cluster": {"use": "threads", "in_flight": 2, "wait_s": 1.0},
    "zarr_format": 3,
}  # fmt: skip
COMMON = {
    "title": "Noise",
    "sensor": {"gsd_m": 30.0, "patch_m": 1280.0},
    "licence": "CC0-1.0",
    "attribution": "nobody",
    "time": "2020-05-01/2020-06-01",
    "env": ["S2S_MAP_NO_KEY"],
    "description": "one\ntwo",
}
CATALOG = {
    "noise": {"type": "raster", "uri": ["scene.tif"], "bands": [1, 2, 3], "nodata": 0,
              "scale": {"min": 0, "max": 255, "gamma": 1.2}, "order": "declared",
              "on_missing": "nodata", **COMMON},
    "tiles": {"type": "xyz", "url": "https://tiles.test/{z}/{x}/{y}.png", "tile_px": 256,
              "headers": {"X-Key": "${S2S_MAP_NO_KEY}"}, "min_zoom": 0, "max_zoom": 12,
              "bounds": [-60, -30, -50, -20], "manners": {"per_second": 5, "attempts": 1},
              "blank": {"status": [404], "colour": ["#f2efe9"]}, "cache": {"max_gb": 0},
              **COMMON},
    "scenes": {"type": "stac", "url": "https://api.test/v1", "collection": "s2",
               "assets": {"red": "B04"}, "max_cloud": 20, "clear": [4, 5], **COMMON},
    "cube": {"type": "zarr", "uri": "cube.zarr", "variable": "v", "bands": [1, 2, 3],
             "crs": "EPSG:32721", "scale": {"min": 0, "max": 1}, **COMMON},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with everything a config needs, to which the working folder is set."""
    import numpy as np
    import soundfile

    made = tmp_path_factory.mktemp("hostile")
    write_job(made, network=TINY_META.model_copy(update={"audio": EventsAudioConfig()}))
    for name in (CARD_FILE, WEIGHTS_FILE):
        (made / "model" / name).symlink_to(EMBEDDED / "s2s-mini" / name)
    soundfile.write(made / "tone.wav", 0.5 * np.sin(np.arange(1600) / 5.0), 8000)
    os.mkfifo(made / "fifo")
    small = {
        "output": "out",
        "source": "noise",
        "model": "model",
        "grid": CONFIG["grid"],
        "patches": CONFIG["patches"],
        "queries": [{"text": "waves"}],
    }
    (made / "noise.yaml").write_text(yaml.safe_dump({**small, "grid": {"block_cells": 128}}))
    (made / "tone.yaml").write_text(yaml.safe_dump({**small, "queries": [{"audio": "tone.wav"}]}))
    for name in ("other.yaml", "scene.bak"):
        (made / name).touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        # What is changed must be valid before.
        (made / "job.yaml").write_bytes(as_yaml(CONFIG))
        (made / "other.yaml").write_bytes(as_yaml(CATALOG))
        for name in ("job.yaml", "tone.yaml", "noise.yaml"):
            assert call("validate", name) == 0
        assert call("catalog", "show", "noise", "--catalog", "other.yaml") == 0
        # Of this machine's own catalogs and models nothing counts.
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("none")))
        patch.setenv("HOME", str(made))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield made


@pytest.fixture
def told(folder: Path, capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(folder, capsys)


@given(content=changed(CONFIG))
@fuzz
def test_configs(told: Told, folder: Path, content: bytes) -> None:
    (folder / "job.yaml").write_bytes(content)
    valid = told.judge("validate", "job.yaml")
    planned = told.judge("plan", "job.yaml")
    # What validate takes, plan takes, and the other way round.
    assert valid == planned


@given(content=changed(CONFIG))
@settings(fuzz, max_examples=EXAMPLES // 4)
@example(content=as_yaml(CONFIG))
def test_what_is_accepted_runs(
    told: Told, folder: Path, tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    (folder / "job.yaml").write_bytes(content)
    # Runs take long; the first of those accepted are a sample.
    if told.runs >= EXAMPLES // 50 or told.judge("validate", "job.yaml"):
        return
    config = load_run_config("job.yaml")
    if config.cluster.use == "threads" and make_plan(resolve(config)).patches <= 2_000:
        code = told.judge_run("job.yaml", tmp_path_factory.mktemp("accepted") / "out")
        event(f"run ends with {code}")


@given(content=changed(CATALOG), name=st.sampled_from(sorted(CATALOG)))
@fuzz
def test_catalogs(told: Told, folder: Path, content: bytes, name: str) -> None:
    (folder / "other.yaml").write_bytes(content)
    told.judge("catalog", "show", name, "--catalog", "other.yaml")
    if name == "noise":
        told.judge("validate", "noise.yaml", "--catalog", "other.yaml")


@given(spec=RASTERS, harm=st.one_of(st.none(), damage(BYTES, reach=0.3)), check=st.booleans())
@fuzz
def test_rasters(
    told: Told, folder: Path, spec: RasterSpec, harm: Damage | None, check: bool
) -> None:
    write_hostile_raster(folder / "scene.tif", spec)
    if harm is not None:
        content = harm((folder / "scene.tif").read_bytes())
        (folder / "scene.tif").write_bytes(content)
    if check:
        told.judge("catalog", "check", "noise")
    elif told.judge("validate", "noise.yaml") == 0:
        told.judge("plan", "noise.yaml")


@given(spec=SOUNDS, harm=st.one_of(st.none(), damage(BYTES, reach=0.3)))
@fuzz
def test_recordings(told: Told, folder: Path, spec: SoundSpec, harm: Damage | None) -> None:
    content = write_hostile_sound(spec)
    (folder / "tone.wav").write_bytes(content if harm is None else harm(content))
    told.judge("validate", "tone.yaml")


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    """A finished run."""
    write_scene(folder / "scene.tif")  # Other tests left theirs there.
    (folder / "done.yaml").write_text((folder / "noise.yaml").read_text())
    assert call("run", "done.yaml", "-o", "done") == 0
    return folder / "done"


@pytest.fixture(scope="module")
def whole(finished: Path) -> dict[str, bytes]:
    return {name: (finished / name).read_bytes() for name in ("ledger.jsonl", "run.json")}


@given(name=st.sampled_from(("ledger.jsonl", "run.json")), data=st.data())
@fuzz
def test_ledgers(
    told: Told, finished: Path, whole: dict[str, bytes], name: str, data: st.DataObject
) -> None:
    (finished / name).write_bytes(data.draw(harmed(whole[name])))
    told.judge("status", "done")
    told.judge("status", "done", "--json")
    (finished / name).write_bytes(whole[name])
