"""Sounds with imagery and captions, changed at random and put together to batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from s2s_map.config.train_sounds import AUDIO_TERMS, AUDIO_TEXT_TERMS, SoundTrainConfig
from s2s_map.datasets.metadata import sample_metadata
from s2s_map.datasets.reading import SoundDataset
from s2s_map.datasets.sample import SkippedRow, SoundSample
from s2s_map.datasets.schema import Wanted
from s2s_map.errors import DataError
from s2s_map.training.colour import jitter_colours
from s2s_map.training.draws import Draw
from s2s_map.training.sound_batch import SoundBatch, StreamPlace
from s2s_map.training.text_features import TextFeatures, pad_features

MOST_BROKEN = 50
"""Rows in a row that may be broken before training gives up."""


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


class SoundItems(Dataset[SoundItem | SkippedRow]):
    """Rows of a split as training sees them.

    In a batch of training a broken row is replaced by the next good one; where nothing is random,
    at validation, it is left out.

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

    def __getitem__(self, draw: Draw) -> SoundItem | SkippedRow:
        """Read a row.

        Raises:
            DataError: If it and too many after it are broken.
        """
        if draw.seed is None:
            return self._read(draw.row, draw, ())
        skipped: list[SkippedRow] = []
        for offset in range(min(MOST_BROKEN, len(self._rows))):
            found = self._read((draw.row + offset) % len(self._rows), draw, tuple(skipped))
            if isinstance(found, SoundItem):
                return found
            skipped.append(found)
        last = skipped[-1]
        raise DataError(
            f"{len(skipped)} rows in a row cannot be used, the last ({last.key}) as {last.reason}",
            remedy="look at the data set",
        )

    def _read(
        self, row: int, draw: Draw, skipped: tuple[SkippedRow, ...]
    ) -> SoundItem | SkippedRow:
        sample = self._rows.read(row)
        return sample if isinstance(sample, SkippedRow) else self._item(sample, draw, skipped)

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
            pixels = jitter_colours(pixels, config.jitter, random)
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

    def collate(
        self, found: Sequence[SoundItem | SkippedRow], place: StreamPlace | None = None
    ) -> SoundBatch:
        """Put items together; broken rows among them are noted only."""
        config = self._config
        items = [one for one in found if isinstance(one, SoundItem)]
        broken = tuple(one for one in found if isinstance(one, SkippedRow))
        if not items:
            side = config.model.image.input_px
            return SoundBatch(torch.zeros(0, 3, side, side), torch.zeros(0), skipped=broken)
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
            skipped=broken + tuple(row for item in items for row in item.skipped),
            place=place,
            **values,
        )
