"""What one step of training on sounds sees."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from s2s_map.datasets.sample import SkippedRow
from s2s_map.models.metadata import Metadata


class StreamPlace(NamedTuple):
    """Where a window of a stream begins.

    Attributes:
        batch: Number of its first batch, from the start of training.
        turn: How many times the set has been gone through before.
        file: How many files of this turn lie before it.
        row: How many rows of the next file do.
    """

    batch: int = 0
    turn: int = 0
    file: int = 0
    row: int = 0


@dataclass(frozen=True)
class SoundBatch:
    """Rows of one batch; row i of all parts belongs together, and what is None is not needed.

    Attributes:
        pixels: Normalised images (n, 3, px, px).
        resolution_m: Ground resolution (n,), metres.
        metadata: Place, time and sources; None for a model without.
        mel: Spectrograms (n, 1, frames, bins).
        audio_text: Token features of the recordings' captions (n, T, dim).
        audio_mask: Which of them are not padding (n, T).
        image_text: Token features of the images' captions (n, T, dim).
        image_mask: Which of them are not padding (n, T).
        keys: Names of the rows.
        number: Of the batch, from the start of training.
        skipped: Broken rows met on the way to these.
        place: Where a stream goes on from to give this batch again; None: rows have numbers.
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
    place: StreamPlace | None = None

    def __len__(self) -> int:
        """Rows."""
        return len(self.pixels)

    def part(self, rows: slice) -> SoundBatch:
        """Some of the rows."""
        cut: dict[str, Any] = {name: part[rows] for name, part in self.tensors().items()}
        if self.metadata is not None:
            given = self.metadata
            cut["metadata"] = Metadata(
                {name: value[rows] for name, value in given.values.items()},
                {name: value[rows] for name, value in given.valid.items()},
                given.masked_tokens,
            )
        return replace(self, keys=self.keys[rows], **cut)

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
