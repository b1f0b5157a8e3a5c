"""A tiny Sat2Sound and the config of its training on a small real set."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from fixtures_models import TINY_HTSAT, TINY_META
from fixtures_sounds import TILE_PX

from s2s_map.config.model import CodebookConfig, MiniLMConfig
from s2s_map.config.train_sounds import SoundTrainConfig

LIGHTNING = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended"),
]
"""Marks of tests that train: Lightning's own use of torch, not ours."""

MODEL = TINY_META.model_copy(
    update={
        "audio": TINY_HTSAT,
        "text": MiniLMConfig(),
        "codebook": CodebookConfig(size=64, dim=32, score_scale=5.0),
    }
)


def values(data: Path, output: Path, **changes: Any) -> dict[str, Any]:
    config: dict[str, Any] = {
        "name": "tiny-sounds",
        "title": "A tiny model of six sounds",
        "output": str(output),
        "dataset": {
            "path": str(data),
            "satellite": "sentinel",
            "gsd_m": 30,
            "tile_px": TILE_PX,
            "workers": 0,
        },
        "model": json.loads(MODEL.model_dump_json()),
        "optimiser": {"steps": 8, "batch": 6, "rate": 1e-3, "weight_decay": 0.01},
        "check_every": 4,
        "precision": "fp32",
        "log": {"every": 1, "tensorboard": False},
        "card": {"licence": "CC0-1.0", "attribution": "nobody"},
    }
    return config | changes


def config_of(data: Path, output: Path, **changes: Any) -> SoundTrainConfig:
    return SoundTrainConfig.model_validate(values(data, output, **changes))


def curve(output: Path) -> dict[int, float]:
    """Loss by step, of the latest start that has it."""
    found: dict[int, float] = {}
    files = (output / "logs" / "csv").glob("*/metrics.csv")
    for file in sorted(files, key=lambda f: int(f.parent.name.rpartition("-")[2])):
        with file.open() as lines:
            for row in csv.DictReader(lines):
                if row["train/total"]:
                    found[int(row["step"])] = float(row["train/total"])
    return found
