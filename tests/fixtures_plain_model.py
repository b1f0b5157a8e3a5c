"""A model without torch, quick to start, and a job that uses it: for clusters and faults.

Name it ``python:fixtures_plain_model:PLAIN``; worker processes find it on the PYTHONPATH. Its
vectors are the mean colours of the parts of a patch, so that a map shows its imagery.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import yaml
from numpy.typing import NDArray
from rasterio.transform import from_origin

from s2s_map.config.model import (
    CodebookConfig,
    MiniImageConfig,
    MiniLMConfig,
    ModelCard,
    ModelConfig,
    NoAudioConfig,
    SoftmaxCard,
    TrainingCard,
)

DIM, INPUT_PX, TOKENS = 8, 28, 14
PATCH_M = 280.0
MODEL = "python:fixtures_plain_model:PLAIN"


class PlainEncoder:
    """Numpy in, numpy out.

    The environment may ask it for more: S2S_TEST_COST_MS a patch, and S2S_TEST_MEMORY patches a
    pass before the device's memory runs out.
    """

    takes_arrays = True
    dim = DIM
    input_px = INPUT_PX
    tokens_per_side = TOKENS
    audio_encoder = None

    def __init__(self, card: ModelCard) -> None:
        self.card, self.name, self.sha256 = card, card.name, card.sha256
        self.device = "cpu"

    def resolution_for(self, patch_m: float) -> float:
        return patch_m / INPUT_PX

    def embed_slots(
        self, pixels: NDArray[np.uint8], resolution_m: float, level: str, slots: Sequence[Any]
    ) -> list[NDArray[np.float32]]:
        memory = int(os.environ.get("S2S_TEST_MEMORY", "1000000"))
        if len(pixels) > memory:
            raise MemoryError("the device is full")
        cost = float(os.environ.get("S2S_TEST_COST_MS", "0"))
        if cost:
            time.sleep(cost * len(pixels) / 1000)
        n, part = len(pixels), INPUT_PX // TOKENS
        parts = pixels.reshape(n, 3, TOKENS, part, TOKENS, part).astype(np.float32)
        colours = parts.mean(axis=(3, 5)).reshape(n, 3, -1).swapaxes(1, 2) / 255
        tokens = np.concatenate([colours, 1 - colours, colours[..., :2] ** 2], axis=-1)
        vectors = tokens if level == "token" else tokens.mean(axis=1)
        return [vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)] * len(slots)

    def embed_text(self, text: str) -> NDArray[np.float32]:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
        vector = np.random.default_rng(seed).standard_normal(DIM)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


class Plain:
    """What ``python:...`` names."""

    card = ModelCard(
        name="plain",
        title="Mean colours, untrained: for tests",
        config=ModelConfig(
            image=MiniImageConfig(input_px=INPUT_PX, tokens_per_side=TOKENS, dim=DIM),
            text=MiniLMConfig(),
            audio=NoAudioConfig(),
            codebook=CodebookConfig(size=8, dim=DIM),
        ),
        sha256="5" * 64,
        licence="CC0-1.0",
        attribution="none",
        softmax=SoftmaxCard(temperature=0.07, source="none"),
        training=TrainingCard(summary="Not trained."),
    )

    def load(self, device: str) -> PlainEncoder:
        return PlainEncoder(self.card)


PLAIN = Plain()


def write_plain_job(
    folder: Path, blocks: int = 4, block_cells: int = 8, **changes: Any
) -> dict[str, Any]:
    """Write scene and catalog below a folder; returns a run config of blocks x blocks blocks.

    Cells are 40 m, patches 280 m every 80 m, the scene is noise with a hole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    side_m = blocks * block_cells * 40
    px = side_m // 10
    rng = np.random.default_rng(0)
    coarse = rng.integers(1, 255, (3, px // 20 + 1, px // 20 + 1), dtype=np.uint8)
    pixels = coarse.repeat(20, axis=1).repeat(20, axis=2)[:, :px, :px]
    pixels[:, px // 2 : px // 2 + 30, : px // 3] = 0
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "width": px,
        "height": px,
        "crs": "EPSG:32721",
        "transform": from_origin(600_000.0, 7_200_000.0, 10.0, 10.0),
        "nodata": 0,
        "tiled": True,
        "compress": "deflate",
    }
    with rasterio.open(folder / "scene.tif", "w", **profile) as dataset:
        dataset.write(pixels)
    entry = {
        "type": "raster",
        "title": "Noise",
        "uri": "scene.tif",
        "sensor": {"gsd_m": 10.0, "patch_m": PATCH_M},
        "licence": "CC0-1.0",
        "attribution": "nobody",
        "time": "2026-01-02",
    }
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump({"noise": entry}))
    config = {
        "output": str(folder / "out"),
        "source": "noise",
        "model": MODEL,
        "device": "cpu",
        "queries": [{"name": "waves", "text": "waves on a shore"}],
        "grid": {"cell_m": 40, "block_cells": block_cells, "crs": "EPSG:32721"},
        "patches": {"stride_m": 80},
        **changes,
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(config))
    return config
