"""Check a model on held-out rows of a training scene: does each query find its land cover?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2s_map.config.model import ModelConfig
from s2s_map.models.protocols import TextEncoder
from s2s_map.models.sat2sound import Sat2Sound, unit
from s2s_mini.config import TrainConfig
from s2s_mini.scenes import Patches, TrainingScene
from s2s_mini.texts import CaptionFile

NO_LABEL = 255
STRIDE_SHARE = 0.25
"""Patches overlap by three quarters, as in a map."""

EVERY_PX = 5
"""Labelled pixels are taken this far apart: 150 m at 30 m a pixel, about one map cell."""

BATCH = 32


def label_vectors(
    network: Sat2Sound, scene: TrainingScene, rows: Sequence[tuple[int, int]], pixel_m: float
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Blended token embeddings at the hand-labelled pixels of some rows.

    Args:
        network: In eval mode.
        scene: Rows of it, first and past the last, are looked at.
        rows: Which.
        pixel_m: Metres per input pixel.

    Returns:
        Means of unit embeddings (n, dim), not renormalised, and labels (n,).
    """
    config = network.config
    side = round(pixel_m * config.image.input_px / scene.gsd_m)
    inside = np.zeros(scene.valid.shape, bool)
    for first, last in rows:
        inside[first:last] = True
    grid = np.zeros_like(inside)
    grid[::EVERY_PX, ::EVERY_PX] = True
    y, x = np.nonzero(inside & grid & scene.valid & (scene.labels != NO_LABEL))
    sums = np.zeros((len(y), config.dim), np.float32)
    counts = np.zeros(len(y), np.int64)
    # Imagery beyond the rows is only looked at as surroundings, and never trained on here.
    scene = replace(scene, usable=scene.valid)
    for corners, tokens in _tokens(network, scene, y, x, side, config):
        for (row, column), vectors in zip(corners, tokens, strict=True):
            hit = (y >= row) & (y < row + side) & (x >= column) & (x < column + side)
            per_side = config.image.tokens_per_side
            i = ((y[hit] - row + 0.5) * per_side / side).astype(int)
            j = ((x[hit] - column + 0.5) * per_side / side).astype(int)
            sums[hit] += vectors[i * per_side + j]
            counts[hit] += 1
    means = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    return means, scene.labels[y, x]


def _tokens(
    network: Sat2Sound,
    scene: TrainingScene,
    y: NDArray[np.intp],
    x: NDArray[np.intp],
    side: int,
    config: ModelConfig,
) -> Iterator[tuple[list[tuple[int, int]], NDArray[np.float32]]]:
    step = max(1, round(side * STRIDE_SHARE))
    height, width = scene.valid.shape
    corners = [
        (row, column)
        for row in range(-side + step, height, step)
        for column in range(-side + step, width, step)
        if ((y >= row) & (y < row + side) & (x >= column) & (x < column + side)).any()
    ]
    for start in range(0, len(corners), BATCH):
        part = corners[start : start + BATCH]
        cut = [scene.cut(row, column, side, config.image.input_px) for row, column in part]
        yield part, embed_patches(network, Patches.stack(cut)).numpy()


def embed_patches(network: Sat2Sound, patches: Patches) -> Tensor:
    """Unit token embeddings (n, tokens, dim) of patches."""
    config = network.config
    mean = torch.tensor(config.pixel_mean).view(3, 1, 1)
    std = torch.tensor(config.pixel_std).view(3, 1, 1)
    pixels = ((patches.pixels * 255).round() / 255 - mean) / std
    resolution = patches.pixel_m * config.image.input_px / config.reference_px
    with torch.inference_mode():
        return unit(network.embed_image(pixels, resolution, level="token"))


def query_auc(
    vectors: NDArray[np.floating],
    labels: NDArray[np.uint8],
    queries: Mapping[str, tuple[str, NDArray[np.floating]]],
    classes: Mapping[str, Sequence[int]],
) -> dict[str, float]:
    """Area under the ROC curve of each query for its class against the other classes.

    Args:
        vectors: (n, dim).
        labels: (n,) cover indices; pixels of no class are left out.
        queries: Text -> (class, unit vector (dim,)).
        classes: Class -> cover indices.

    Returns:
        AUC by text; queries whose class does not occur, or occurs alone, are left out.
    """
    from sklearn.metrics import roc_auc_score

    any_class = np.isin(labels, [index for indices in classes.values() for index in indices])
    vectors, labels = vectors[any_class], labels[any_class]
    scores = {}
    for text, (name, query) in queries.items():
        truth = np.isin(labels, list(classes[name]))
        if truth.any() and not truth.all():
            scores[text] = float(roc_auc_score(truth, vectors @ query))
    return scores


@dataclass(frozen=True)
class Validation:
    """What held-out rows say about a model.

    Attributes:
        auc: AUC by held-out text.
        temperature: Softmax temperature that fits the held-out pixels best.
        temperature_source: How it was found.
    """

    auc: dict[str, float]
    temperature: float
    temperature_source: str


CLASSES = {
    "water": ("water",),
    "forest": ("forest",),
    "farm": ("green", "bare"),
    "city": ("city",),
}
"""Classes of the held-out wordings and the land covers that belong to them."""

TEMPERATURES = tuple(float(t) for t in np.geomspace(0.01, 1.0, 41))


def validate(
    network: Sat2Sound, config: TrainConfig, captions: CaptionFile, encoder: TextEncoder
) -> Validation | None:
    """Ask the held-out wordings on the held-out rows; None where there is nothing held out."""
    texts = {
        text: group
        for groups in captions.held_out.values()
        for group, texts in groups.items()
        for text in texts
    }
    classes = {
        name: [captions.covers.index(c) for c in covers if c in captions.covers]
        for name, covers in CLASSES.items()
    }
    vectors, labels = [], []
    for scene in config.scenes:
        if scene.held_out_rows:
            loaded = TrainingScene.load(config.data / scene.file)
            pixel_m = float(np.mean(scene.pixel_m))
            found, label = label_vectors(network, loaded, scene.held_out_rows, pixel_m)
            vectors.append(found)
            labels.append(label)
    if not texts or not vectors or not sum(map(len, labels)):
        return None
    with torch.inference_mode():
        queries = {
            text: (group, unit(network.embed_text(encoder.tokens(text)))[0].numpy())
            for text, group in texts.items()
        }
    found, label = np.concatenate(vectors), np.concatenate(labels)
    auc = query_auc(found, label, queries, classes)
    temperature = fit_temperature(found, label, queries, classes)
    count = int(np.isin(label, [index for indices in classes.values() for index in indices]).sum())
    return Validation(
        auc,
        temperature,
        f"least negative log-likelihood of the class of {count} labelled pixels in held-out "
        f"rows, softmax over {len(queries)} held-out texts summed by class",
    )


def fit_temperature(
    vectors: NDArray[np.floating],
    labels: NDArray[np.uint8],
    queries: Mapping[str, tuple[str, NDArray[np.floating]]],
    classes: Mapping[str, Sequence[int]],
) -> float:
    """Choose the softmax temperature under which labels are most likely; see `query_auc`."""
    names = list(classes)
    matrix = np.stack([query for _, query in queries.values()])
    member = np.array([[name == group for name in names] for group, _ in queries.values()])
    truth = np.array([[label in classes[name] for name in names] for label in labels])
    known = truth.any(axis=1)
    similarity = vectors[known] @ matrix.T
    losses = []
    for temperature in TEMPERATURES:
        z = similarity / temperature
        p = np.exp(z - z.max(axis=1, keepdims=True))
        # Each class is the mean over its texts, so that more texts make no class likelier.
        by_class = p @ (member / np.maximum(member.sum(axis=0), 1))
        share = (by_class * truth[known]).sum(axis=1) / by_class.sum(axis=1)
        losses.append(-np.log(np.maximum(share, 1e-12)).mean())
    return round(TEMPERATURES[int(np.argmin(losses))], 4)
