"""From your own recordings to a map by a model of your own, by the command line alone."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from fixtures_cli import call
from fixtures_llava import write_llava
from fixtures_sounds import CAPTIONS, SOUNDS

from s2s_map.config.model import METADATA_ORDER
from s2s_map.models.registry import load_model

S2S_MAP = Path(sys.executable).with_name("s2s-map")
TILE_PX = 16
SOURCE = "iguacu_landsat8"
WEST, SOUTH, STEP = -54.75, -25.50, 0.055
PLACES = [(WEST + STEP * (i % 8), SOUTH + STEP * (i // 8)) for i in range(48)]
"""A grid of places on the demo scene: two or three in every block of 10 km."""

# Slow for every verb from recordings to a map, one of them as a process of its own.
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.usefixtures("forked_processes"),
]

# The classes and spectrograms of the published model; only narrower and shallower.
MODEL = {
    "image": {
        "kind": "vit",
        "input_px": 56,
        "patch_px": 4,
        "dim": 32,
        "depth": 1,
        "heads": 2,
        "mlp_dim": 64,
    },
    "audio": {"kind": "htsat", "dim": 96, "depths": [1, 1, 1, 2], "heads": [1, 2, 4, 8]},
    "text": {"kind": "minilm"},
    "embed_dim": 32,
    "projector_dim": 32,
    "codebook": {"size": 64, "dim": 32, "score_scale": 5.0},
    "metadata": list(METADATA_ORDER),
    "fusion": {"layers": 1, "heads": 2, "ff_dim": 32, "field_hidden_dim": 8},
}


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("datasets")
        patch.setattr("datasets.config.HF_DATASETS_CACHE", cache)
        patch.setenv("HF_DATASETS_CACHE", str(cache))
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of real sounds on real imagery, captioned by a LLaVA, made by two commands."""
    folder = tmp_path_factory.mktemp("built")
    table = folder / "recordings.csv"
    with table.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["id", "lon", "lat", "time", "audio", "caption", "source"])
        for i, (longitude, latitude) in enumerate(PLACES):
            sound = SOUNDS[i % len(SOUNDS)]
            time = f"2020-{1 + i % 12:02d}-03 {i % 24:02d}:15"
            caption = f"{CAPTIONS[sound.stem]}, take {i}"
            platform = ("yfcc", "freesound")[i % 2]
            lines.writerow([f"take-{i}", longitude, latitude, time, sound, caption, platform])
    assert not call(
        "dataset", "build", table, "--source", SOURCE, "--out", folder / "set",
        "--tile-px", TILE_PX, "--shares", "0.5,0.2,0.3", "--seed", 8,
    )  # fmt: skip
    llava = write_llava(folder / "llava")
    assert not call(
        "dataset", "caption", folder / "set", "--model", llava, "--device", "cpu",
        "--tile-px", TILE_PX, "--batch", 32,
    )  # fmt: skip
    return folder / "set"


@pytest.fixture(scope="module")
def trained(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained by the command, in a process of its own as a user would."""
    folder = tmp_path_factory.mktemp("trained")
    config = {
        "name": "my-sounds",
        "title": "Sounds around the Itaipu reservoir",
        "output": str(folder / "model"),
        "dataset": {
            "path": str(built),
            "satellite": "sentinel",
            "gsd_m": 30,
            "tile_px": TILE_PX,
            "workers": 0,
        },
        "model": MODEL,
        "optimiser": {"steps": 12, "batch": 8, "rate": 1e-3},
        "check_every": 6,
        "precision": "fp32",
        "log": {"every": 1, "tensorboard": False},
        "card": {"licence": "CC0-1.0", "attribution": "the test's author"},
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [S2S_MAP, "train", folder / "train.yaml"],
        env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "wrote the model to" in done.stdout
    return folder / "model"


def test_the_set_has_every_recording_in_one_split(built: Path) -> None:
    import pyarrow.parquet as pq

    keys: list[str] = []
    for file in built.glob("*.parquet"):
        table = pq.read_table(file, columns=["sample_id", "llava_caption_sentinel_zl5"])
        keys += table.column(0).to_pylist()
        assert all(table.column(1).to_pylist())
    assert sorted(keys) == sorted(f"take-{i}" for i in range(len(PLACES)))


def test_the_trained_model_says_what_it_is(trained: Path) -> None:
    model = load_model(trained)
    assert model.card.name == "my-sounds"
    assert model.card.patch_m == (480, 2400)
    assert model.card.config.metadata == METADATA_ORDER
    with (trained / "logs" / "csv" / "from-step-0" / "metrics.csv").open() as lines:
        losses = [float(row["train/total"]) for row in csv.DictReader(lines) if row["train/total"]]
    assert len(losses) == 12
    assert losses[-1] < losses[0]


def test_our_command_evaluates_it(built: Path, trained: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    assert not call(
        "evaluate", "retrieval", "--model", trained, "--data", built, "--split", "test",
        "--zoom", "1,3", "--tile-px", TILE_PX, "--gsd", 30, "--samples", 50, "--output", report,
    )  # fmt: skip
    content = json.loads((report / "report.json").read_text())
    text = json.dumps(content)
    assert "my-sounds" in text
    assert "R@10%" in text


def test_the_main_job_maps_with_it_and_is_asked_again(trained: Path, tmp_path: Path) -> None:
    job = {
        "output": str(tmp_path / "out"),
        "source": SOURCE,
        "model": str(trained),
        "region": [WEST, SOUTH, WEST + 0.1, SOUTH + 0.1],
        "queries": [{"name": "frogs", "text": "frogs croaking at a pond"}],
        "grid": {"cell_m": 320},
        "patches": {"stride_m": 320},
        # A recording has no background vocabulary in a model without sound events.
        "probability": {"method": "similarity"},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    assert not call("run", tmp_path / "job.yaml")
    assert not call("query", tmp_path / "out", "--audio", SOUNDS[0], "--name", "owl")
    maps = {}
    for name in ("frogs", "owl"):
        with rasterio.open(tmp_path / "out" / f"{name}.tif") as cells:
            maps[name] = cells.read(1)
            assert np.isfinite(maps[name]).any()
    assert not np.allclose(maps["frogs"], maps["owl"], equal_nan=True)
