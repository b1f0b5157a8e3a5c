"""What one training step sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import IterableDataset

from s2s_mini.augment import augment
from s2s_mini.config import TrainConfig
from s2s_mini.scenes import Patches, TrainingScene
from s2s_mini.texts import CaptionSampler

WATER = "water"


@dataclass(frozen=True)
class Batch:
    """One step's data; row i of the paired parts belongs together.

    Attributes:
        pixels: Normalised images (n, 3, px, px).
        resolution_m: Ground resolution (n,), metres.
        image_text: Token features of the images' captions (n, T, text dim).
        token_cover: Land-cover shares of the image tokens (n, tokens, k).
        texts: Token features of further captions (m, T, text dim).
        text_cover: Cover weights of those captions (m, k).
    """

    pixels: Tensor
    resolution_m: Tensor
    image_text: Tensor
    token_cover: Tensor
    texts: Tensor
    text_cover: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch on another device; Lightning calls this."""
        return Batch(*(part.to(device, non_blocking=non_blocking) for part in vars(self).values()))


class PatchBatches(IterableDataset[Batch]):
    """Endless batches of random patches with captions of their land cover.

    Args:
        config: How patches are cut and changed.
        scenes: Scenes in the config's order.
        features: Token features (n, T, dim) of all captions.
        weights: Cover weights (n, k) of all captions.
        covers: Names of the covers.
    """

    def __init__(
        self,
        config: TrainConfig,
        scenes: list[TrainingScene],
        features: Tensor,
        weights: Tensor,
        covers: tuple[str, ...],
    ) -> None:
        self._config = config
        self._scenes = scenes
        self._features = features
        self._weights = weights
        self._water = covers.index(WATER) if WATER in covers else None
        self._sampler = CaptionSampler(weights)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches without end, the same for the same seed."""
        generator = np.random.default_rng(self._config.seed)
        model, chance = self._config.model, np.array([s.weight for s in self._config.scenes])
        mean = torch.tensor(model.pixel_mean).view(3, 1, 1)
        std = torch.tensor(model.pixel_std).view(3, 1, 1)
        while True:
            drawn = generator.choice(
                len(self._scenes), self._config.optimiser.batch, p=chance / chance.sum()
            )
            patches = Patches.stack([self._patch(int(index), generator) for index in drawn])
            patches = augment(patches, self._config.augment, self._water)
            cover = token_cover(patches, model.image.tokens_per_side)
            shares = cover.mean(dim=1)
            shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-6)
            texts = self._sampler.draw(self._config.losses.texts)
            yield Batch(
                pixels=(patches.pixels - mean) / std,
                resolution_m=patches.pixel_m * model.image.input_px / model.reference_px,
                image_text=self._features[self._sampler.match(shares)].float(),
                token_cover=cover,
                texts=self._features[texts].float(),
                text_cover=self._weights[texts],
            )

    def _patch(self, index: int, generator: np.random.Generator) -> Patches:
        pixel_m = self._config.scenes[index].pixel_m
        input_px = self._config.model.image.input_px
        return self._scenes[index].random_patch(generator, pixel_m, input_px)


def token_cover(patches: Patches, tokens_per_side: int) -> Tensor:
    """Land-cover shares of each token (n, tokens, k); all zero where imagery is invalid."""
    shares = F.adaptive_avg_pool2d(patches.cover, tokens_per_side)
    valid = F.adaptive_avg_pool2d(patches.valid, tokens_per_side) >= 0.5
    return (shares * valid).flatten(2).transpose(1, 2)
