"""Place, time and source of a sound as model inputs, each with a flag for being known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from s2s_map.config.model import MaskedTokens, MetadataField
from s2s_map.errors import ModelError

AUDIO_SOURCES = {"yfcc": 0, "iNat": 1, "aporee": 2, "freesound": 3}
CAPTION_SOURCES = {"meta": 0, "qwen": 1, "pengi": 2}


@dataclass(frozen=True, eq=False)
class Metadata:
    """Encoded metadata of a batch of images.

    Attributes:
        values: Input of each field: "asource" and "tsource" int64 (B,), "latlong" float32
            (B, 4), "month" and "time" float32 (B, 2). A field that is absent is unknown.
        valid: Whether a field is known, bool (B,); a field that is absent here is known.
        masked_tokens: Output of the tokens of unknown fields; None: what the model's config says.
    """

    values: dict[MetadataField, Tensor]
    valid: dict[MetadataField, Tensor]
    masked_tokens: MaskedTokens | None = None

    def mask(self, field: MetadataField, count: int) -> Tensor:
        """Where a field is known, bool (count,)."""
        if field not in self.values:
            return torch.zeros(count, dtype=torch.bool)
        known = self.valid.get(field)
        return torch.ones(count, dtype=torch.bool) if known is None else known.bool()


def encode_place(latitude: Tensor, longitude: Tensor) -> Tensor:
    """Encode degrees north and east as (B, 4).

    As published: latitude runs a full circle over 180 degrees, so the poles look alike.
    """
    lat, lon = latitude.double() * (math.pi / 90), longitude.double() * (math.pi / 180)
    return torch.stack([lat.sin(), lat.cos(), lon.sin(), lon.cos()], dim=-1).float()


def encode_month(month: Tensor) -> Tensor:
    """Encode months 1..12 as (B, 2)."""
    return _circle(month, 12)


def encode_hour(hour: Tensor) -> Tensor:
    """Encode whole hours 0..23 as (B, 2); as published, 0 and 23 look alike."""
    return _circle(hour, 23)


def _circle(value: Tensor, period: int) -> Tensor:
    angle = value.double() * (2 * math.pi / period)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).float()


def encode_metadata(
    *,
    latitude: Sequence[float] | None = None,
    longitude: Sequence[float] | None = None,
    month: Sequence[int | None] | None = None,
    hour: Sequence[int | None] | None = None,
    audio_source: Sequence[str] | None = None,
    caption_source: Sequence[str] | None = None,
    masked_tokens: MaskedTokens | None = None,
) -> Metadata:
    """Encode the metadata of a batch; what is None is unknown.

    Args:
        latitude: Degrees north.
        longitude: Degrees east.
        month: 1 to 12, or None.
        hour: Local hour, 0 to 23, or None. Always unknown for freesound, as in training.
        audio_source: Names out of `AUDIO_SOURCES`.
        caption_source: Names out of `CAPTION_SOURCES`.
        masked_tokens: See `Metadata`.

    Raises:
        ModelError: For an unknown source or a month or hour out of range.
    """
    values: dict[MetadataField, Tensor] = {}
    valid: dict[MetadataField, Tensor] = {}
    if latitude is not None and longitude is not None:
        values["latlong"] = encode_place(torch.tensor(latitude), torch.tensor(longitude))
    if month is not None:
        numbers, valid["month"] = _known("month", month, 1, 12)
        values["month"] = encode_month(numbers) * valid["month"][:, None]
    if hour is not None:
        if audio_source is not None:
            hour = [
                None if s == "freesound" else h for h, s in zip(hour, audio_source, strict=True)
            ]
        numbers, valid["time"] = _known("hour", hour, 0, 23)
        values["time"] = encode_hour(numbers) * valid["time"][:, None]
    if audio_source is not None:
        values["asource"] = _ids("audio source", audio_source, AUDIO_SOURCES)
    if caption_source is not None:
        values["tsource"] = _ids("caption source", caption_source, CAPTION_SOURCES)
    return Metadata(values, valid, masked_tokens)


def _known(what: str, numbers: Sequence[int | None], low: int, high: int) -> tuple[Tensor, Tensor]:
    wrong = [n for n in numbers if n is not None and not low <= n <= high]
    if wrong:
        raise ModelError(f"{what} {wrong[0]}", expected=f"{low} to {high}")
    known = torch.tensor([n is not None for n in numbers])
    return torch.tensor([0 if n is None else n for n in numbers]), known


def _ids(what: str, names: Sequence[str], table: dict[str, int]) -> Tensor:
    unknown = [n for n in names if n not in table]
    if unknown:
        raise ModelError(f"{what} {unknown[0]!r}", expected=f"one of {', '.join(table)}")
    return torch.tensor([table[n] for n in names])


def drop_fields(mask: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """Hide fields at random for training, so that the model also learns to do without.

    As published: of each field exactly floor(rate * B) rows end up hidden, those already
    unknown counted first.

    Args:
        mask: Where a field is known, bool (B, fields).
        rate: Share of rows to hide, 0 to 1.
        generator: Source of randomness.

    Returns:
        A new mask of the same shape.
    """
    count = int(rate * mask.shape[0])
    dropped = mask.clone()
    for column in range(mask.shape[1]):
        missing = count - int((~mask[:, column]).sum())
        if missing <= 0:
            continue
        known = mask[:, column].nonzero().flatten().cpu()
        chosen = known[torch.randperm(len(known), generator=generator)[:missing]]
        dropped[chosen.to(mask.device), column] = False
    return dropped
