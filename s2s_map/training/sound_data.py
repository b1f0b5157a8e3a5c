"""Batches of sounds with imagery and captions. Which they are depends on seed and step alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from s2s_map.config.train_sounds import AUDIO_TERMS, AUDIO_TEXT_TERMS, SoundTrainConfig
from s2s_map.datasets.metadata import sample_metadata
from s2s_map.datasets.reading import SoundDataset
from s2s_map.datasets.sample import SkippedRow, SoundSample
from s2s_map.datasets.schema import Wanted
from s2s_map.errors import DataError
from s2s_map.models.metadata import Metadata
from s2s_map.training.text_features import TextFeatures, pad_features

MOST_BROKEN = 50
"""Rows in a row that may be broken before training gives up."""


@dataclass(frozen=True)
class Draw:
    """One row of one batch.

    Attributes:
        row: Which row of the set.
        seed: Of what is random about it; None: nothing is.
        batch: Number of its batch from the start of training.
    """

    row: int
    seed: int | None
    batch: int = 0


@dataclass(frozen=True, eq=False)
class SoundItem:
    """One sound, ready for a batch."""

    sample: SoundSample
    zoom: int
    pixels: Tensor
    mel: Tensor | None
    audio_text: Tensor | None
    image_text: Tensor | None
    batch: int
    skipped: tuple[SkippedRow, ...]


@dataclass(frozen=True)
class SoundBatch:
    """Rows of one batch; row i of all parts belongs together, and what is None is not needed.

    Attributes:
        pixels: Normalised images (n, 3, px, px).
        resolution_m: Ground resolution (n,), metres.
        metadata: Place, time and sources; None for a model without.
        mel: Spectrograms (n, 1, frames, bins).
        audio_text: Token features of the recordings' captions (n, T, dim).
        audio_mask: Which of them are no padding (n, T).
        image_text: Token features of the images' captions (n, T, dim).
        image_mask: Which of them are no padding (n, T).
        keys: Names of the rows.
        number: Of the batch, from the start of training.
        skipped: Broken rows that others were taken for.
    """

    pixels: Tensor
    resolution_m: Tensor
    metadata: Metadata | None = None
    mel: Tensor | None = None
    audio_text: Tensor | None = None
    audio_mask: Tensor | None = None
    image_text: Tensor | None = None
    image_mask: Tensor | None = None
    keys: tuple[str, ...] = ()
    number: int = 0
    skipped: tuple[SkippedRow, ...] = ()

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        named = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: part for name, part in named if isinstance(part, Tensor)}

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SoundBatch:
        """The batch on another device, metadata excepted; Lightning calls this."""
        moved: dict[str, Any] = {
            name: part.to(device, non_blocking=non_blocking)
            for name, part in self.tensors().items()
        }
        return replace(self, **moved)


def wanted_for(config: SoundTrainConfig) -> Wanted:
    """What the configured losses need of each row."""
    terms, data = set(config.losses.terms), config.dataset
    return Wanted(
        images=(data.satellite,),
        captions=tuple((data.satellite, z) for z in data.zooms) if "fdt" in terms else (),
        mel=bool(terms & AUDIO_TERMS),
        audio_caption=bool(terms & AUDIO_TEXT_TERMS) or "tsource" in config.model.metadata,
        metadata=bool(config.model.metadata),
    )


class SoundItems(Dataset[SoundItem]):
    """Rows of a split as training sees them; a broken row is replaced by the next good one.

    Args:
        config: What is needed, and how it is changed.
        rows: The split.
        features: Holds the features of its captions.
    """

    def __init__(
        self, config: SoundTrainConfig, rows: SoundDataset, features: TextFeatures
    ) -> None:
        self._config = config
        self._rows = rows
        self._features = features
        self._terms = set(config.losses.terms)

    def __len__(self) -> int:
        """Rows of the split."""
        return len(self._rows)

    def __getitem__(self, draw: Draw) -> SoundItem:
        """Read a row.

        Raises:
            DataError: If it and too many after it are broken.
        """
        skipped: list[SkippedRow] = []
        for offset in range(min(MOST_BROKEN, len(self._rows))):
            row = self._rows.read((draw.row + offset) % len(self._rows))
            if isinstance(row, SoundSample):
                item = self._item(row, draw, tuple(skipped))
                if isinstance(item, SoundItem):
                    return item
                row = item
            skipped.append(row)
        last = skipped[-1]
        raise DataError(
            f"{len(skipped)} rows in a row cannot be used, the last ({last.key}) as {last.reason}",
            remedy="look at the data set",
        )

    def _item(
        self, sample: SoundSample, draw: Draw, skipped: tuple[SkippedRow, ...]
    ) -> SoundItem | SkippedRow:
        config, data = self._config, self._config.dataset
        random = None if draw.seed is None else np.random.default_rng(draw.seed)
        zoom = data.zooms[0] if random is None else int(random.choice(data.zooms))
        crop = 0 if random is None or sample.mel is None else int(random.integers(len(sample.mel)))
        image_caption = sample.image_captions.get((data.satellite, zoom))
        if "fdt" in self._terms and image_caption is None:
            return SkippedRow(sample.key, f"its image has no caption at zoom {zoom}")
        if self._terms & AUDIO_TEXT_TERMS and sample.audio_caption is None:
            return SkippedRow(sample.key, "its recording has no caption")
        side = config.model.image.input_px
        pixels = torch.from_numpy(sample.patch(data.satellite, zoom, side, data.side_px).copy())
        if random is not None:
            pixels = self._jitter(pixels, int(random.integers(2**31)))
        audio_caption = sample.audio_caption if self._terms & AUDIO_TEXT_TERMS else None
        return SoundItem(
            sample=sample,
            zoom=zoom,
            pixels=pixels,
            mel=None if sample.mel is None else torch.from_numpy(sample.mel[crop].copy()),
            audio_text=None if audio_caption is None else self._features[audio_caption],
            image_text=None if image_caption is None else self._features[image_caption],
            batch=draw.batch,
            skipped=skipped,
        )

    def _jitter(self, pixels: Tensor, seed: int) -> Tensor:
        from torchvision.transforms import ColorJitter

        jitter = self._config.jitter
        # torchvision draws from torch's own generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            change = ColorJitter(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
            changed: Tensor = change(pixels)
        return changed

    def collate(self, items: list[SoundItem]) -> SoundBatch:
        """Put items together."""
        config = self._config
        mean = torch.tensor(config.model.pixel_mean).view(3, 1, 1)
        std = torch.tensor(config.model.pixel_std).view(3, 1, 1)
        pixels = torch.stack([item.pixels for item in items]).float()
        zooms = torch.tensor([float(item.zoom) for item in items])
        values: dict[str, Any] = {}
        if config.model.metadata:
            samples = [item.sample for item in items]
            values["metadata"] = sample_metadata(samples, config.model.metadata)
        mels = [item.mel for item in items if item.mel is not None]
        if len(mels) == len(items):
            values["mel"] = torch.stack(mels)[:, None]
        for name in ("audio", "image"):
            rows = [getattr(item, f"{name}_text") for item in items]
            if all(row is not None for row in rows):
                values[f"{name}_text"], values[f"{name}_mask"] = pad_features(rows)
        return SoundBatch(
            pixels=(pixels / 255 - mean) / std,
            resolution_m=zooms * config.dataset.pixel_m,
            keys=tuple(item.sample.key for item in items),
            number=items[0].batch,
            skipped=tuple(row for item in items for row in item.skipped),
            **values,
        )


class Draws(Sampler[list[Draw]]):
    """Endless batches, shuffled anew each time through the set, from any batch on.

    Args:
        rows: Rows of the set.
        batch: Rows of a batch over all devices.
        seed: Of everything random.
        start: Number of the first batch.
        rank: Which device this is for.
        devices: How many there are; each gets its share of every batch.

    Raises:
        DataError: For fewer rows than a batch has.
    """

    def __init__(
        self, rows: int, batch: int, seed: int, *, start: int = 0, rank: int = 0, devices: int = 1
    ) -> None:
        if rows < batch:
            raise DataError(
                f"a training set of {rows} rows", expected=f"at least optimiser.batch, {batch}"
            )
        self._rows, self._batch, self._seed = rows, batch, seed
        self._start, self._rank, self._devices = start, rank, devices

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield this device's share of batch after batch, without end."""
        number = self._start
        per_round = self._rows // self._batch
        share = self._batch // self._devices
        shuffled, order = -1, np.arange(self._rows)
        while True:
            turn, place = divmod(number, per_round)
            if turn != shuffled:
                order = np.random.default_rng([self._seed, turn]).permutation(self._rows)
                shuffled = turn
            seeds = np.random.default_rng([self._seed, 1, number]).integers(2**31, size=self._batch)
            mine = slice(self._rank * share, (self._rank + 1) * share)
            chosen = order[place * self._batch : (place + 1) * self._batch][mine]
            yield [
                Draw(int(row), int(seed), number)
                for row, seed in zip(chosen, seeds[mine], strict=True)
            ]
            number += 1
