"""A synthetic country and a model of adjustable cost, to measure the engine rather than a network.

Workers find this module on the PYTHONPATH (`on_python_path`). The model needs no torch. Its vectors
are pixels of a patch, so that embeddings show which imagery they came from; what it costs is a
number of hashes beside that, which release Python's lock as a network does and take one core.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import shapely
import yaml
from numpy.typing import NDArray
from rasterio.transform import from_origin
from rasterio.windows import Window

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
from s2s_map.config.run import RunConfig

MODEL = "python:synthetic:COSTED"
DIM, INPUT_PX, TOKENS = 1024, 224, 14
PATCH_M, GSD_M = 2560, 10  # Sentinel-2 at zoom 1
CRS, WEST, NORTH = "EPSG:32637", 102_400.0, 1_024_000.0
_HASHES = "S2S_BENCH_HASHES"
_BUFFER = bytes(1 << 16)
_STEP_PX = 16


class CostedEncoder:
    """Numpy in, numpy out, at as many hashes a patch as the environment says."""

    takes_arrays = True
    dim, input_px, tokens_per_side = DIM, INPUT_PX, TOKENS
    audio_encoder = None
    device = "cpu"

    def __init__(self, card: ModelCard) -> None:
        self.card, self.name, self.sha256 = card, card.name, card.sha256

    def resolution_for(self, patch_m: float) -> float:
        """Metres a model pixel."""
        return patch_m / INPUT_PX

    def embed_slots(
        self, pixels: NDArray[np.uint8], resolution_m: float, level: str, slots: Sequence[Any]
    ) -> list[NDArray[np.float32]]:
        """Embed patches, the same at every time."""
        if level != "patch":
            raise ValueError("this model embeds whole patches only")
        return [self.embed(pixels)] * len(slots)

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed patches (B, 3, px, px): unit vectors (B, DIM)."""
        for _ in range(round(float(os.environ.get(_HASHES, "0")) * len(pixels))):
            hashlib.sha256(_BUFFER).digest()
        seen = pixels[:, :, ::_STEP_PX, ::_STEP_PX].reshape(len(pixels), -1).astype(np.float32)
        vectors = np.concatenate([seen, 255 - seen[:, : DIM - seen.shape[1]]], axis=1)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def embed_text(self, text: str) -> NDArray[np.float32]:
        """Make a unit vector of a text's hash."""
        vector = hashed_numbers(text, DIM)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


def hashed_numbers(text: str, count: int) -> NDArray[np.float64]:
    """Return normal numbers drawn by a text's hash."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    return np.random.default_rng(seed).standard_normal(count)


def untrained_card(name: str, title: str, input_px: int, mark: str) -> ModelCard:
    """Return the card of a model of 1,024 numbers that has no weights.

    Args:
        name: Of the model.
        title: Of the model.
        input_px: Pixels of a side of a patch.
        mark: Two hexadecimal digits that tell it from others.
    """
    return ModelCard(
        name=name,
        title=title,
        config=ModelConfig(
            image=MiniImageConfig(input_px=input_px, tokens_per_side=TOKENS, dim=DIM),
            text=MiniLMConfig(),
            audio=NoAudioConfig(),
            codebook=CodebookConfig(size=8, dim=DIM),
        ),
        sha256=mark * 32,
        licence="CC0-1.0",
        attribution="none",
        softmax=SoftmaxCard(temperature=0.07, source="none"),
        training=TrainingCard(summary="Not trained."),
    )


class Costed:
    """What ``python:synthetic:COSTED`` names."""

    card = untrained_card(
        "costed", "Pixels, untrained, of adjustable cost: for benchmarks", INPUT_PX, "c0"
    )

    def load(self, device: str) -> CostedEncoder:
        """Return the encoder."""
        return CostedEncoder(self.card)


COSTED = Costed()


def on_python_path() -> None:
    """Let processes that are started from here on find this module, and use one core each."""
    here = str(Path(__file__).resolve().parent)
    paths = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def set_cost(ms: float) -> None:
    """Let a patch cost so much from here on, in this process and those that it starts."""
    os.environ[_HASHES] = str(ms / _hash_ms()) if ms else "0"


def _hash_ms() -> float:
    """Milliseconds of one hash on a core of its own: the best of some tries."""
    tries = []
    for _ in range(7):
        began = time.thread_time()
        for _ in range(100):
            hashlib.sha256(_BUFFER).digest()
        tries.append((time.thread_time() - began) * 10)
    return min(tries)


def write_country(folder: Path, side_m: int) -> Path:
    """Write a square scene below a folder; returns the catalog that names it.

    Noise of 200 m, and in every eighth row of each pixel: as large as imagery, quickly written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    margin = PATCH_M  # Patches at the edge see imagery, too.
    px = (side_m + 2 * margin) // GSD_M
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "width": px,
        "height": px,
        "crs": CRS,
        "transform": from_origin(WEST - margin, NORTH + margin, GSD_M, GSD_M),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "interleave": "pixel",
        "compress": "deflate",
        "zlevel": 1,
        "num_threads": "ALL_CPUS",
    }
    rng = np.random.default_rng(0)
    path = folder / "country.tif"
    with rasterio.open(path, "w", **profile) as dataset:
        for top in range(0, px, 512):
            rows = min(512, px - top)
            coarse = rng.integers(1, 255, (3, -(-rows // 20), -(-px // 20)), dtype=np.uint8)
            strip = coarse.repeat(20, axis=1).repeat(20, axis=2)[:, :rows, :px].copy()
            strip[:, ::8] = rng.integers(1, 255, strip[:, ::8].shape, dtype=np.uint8)
            window = Window(0, top, px, rows)
            dataset.write(strip, window=window)
    entry = {
        "type": "raster",
        "title": "Noise",
        "uri": str(path),
        "sensor": {"gsd_m": GSD_M, "patch_m": PATCH_M},
        "licence": "CC0-1.0",
        "attribution": "nobody",
    }
    catalog = folder / "catalog.yaml"
    catalog.write_text(yaml.safe_dump({"country": entry}))
    return catalog


def country_config(
    folder: Path, output: Path, side_m: int, stride_m: int, block_cells: int, **changes: Any
) -> RunConfig:
    """Return the run config of the scene's north-west: one patch a cell.

    Args:
        folder: Where `write_country` wrote.
        output: The output folder.
        side_m: Side of the square, metres, whole strides.
        stride_m: Distance of patches and side of a cell, metres.
        block_cells: Cells along a block.
        changes: Further keys.
    """
    region = folder / f"square-{side_m}.gpkg"
    if not region.exists():
        square = shapely.box(WEST, NORTH - side_m, WEST + side_m, NORTH)
        geopandas.GeoSeries([square], crs=CRS).to_file(region)
    return RunConfig(
        **{
            "output": str(output),
            "source": "country",
            "region": str(region),
            "model": MODEL,
            "device": "cpu",
            "queries": [{"name": "waves", "text": "waves on a shore"}],
            "grid": {"cell_m": stride_m, "block_cells": block_cells, "crs": CRS},
            "patches": {"stride_m": stride_m, "level": "patch"},
            **changes,
        }
    )
