"""Schema of what a model with metadata is given beside the image: time slots, place, sources."""

from __future__ import annotations

from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from s2s_map.config.checked import Checked
from s2s_map.config.model import MaskedTokens

HourReference = Literal["solar", "utc", "local"]
AudioSource = Literal["yfcc", "iNat", "aporee", "freesound"]
CaptionSource = Literal["meta", "qwen", "pengi"]

NO_TIME_SLOT = "any"
"""Label of the one time slot of a model that is given neither month nor hour."""


class TimeSlot(Checked):
    """A month and an hour, at least one of them; what is left out is unknown to the model."""

    month: int | None = Field(default=None, ge=1, le=12, description="Month, 1 to 12.")
    hour: int | None = Field(
        default=None,
        ge=0,
        le=23,
        description="Hour, 0 to 23, in the reference that hour_reference names.",
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.month is None and self.hour is None:
            raise ValueError("a time slot has a month, an hour or both")
        return self


class MetadataConfig(Checked):
    """What a model with metadata is given beside the image; what is left out is masked."""

    time_slots: tuple[TimeSlot, ...] = Field(
        default=(),
        description="Months and hours to map, such as [{month: 5, hour: 13}]; one layer of each "
        "concept per slot, all in one pass over the imagery. Left out: neither is given.",
    )
    hour_reference: HourReference = Field(
        default="solar",
        description="What the hours of the slots are: solar, local mean solar time at each patch; "
        "utc; or local, the clock of time_zone. The model is given the solar hour at each patch.",
    )
    time_zone: str | None = Field(
        default=None,
        description="Zone of the clock at hour_reference: local, such as Europe/Zurich.",
    )
    place: bool = Field(
        default=True, description="Tell the model longitude and latitude of each patch's centre."
    )
    audio_source: AudioSource | None = Field(
        default="yfcc",
        description="Whose recordings to expect: yfcc (the published demo's choice), iNat, aporee "
        "or freesound; null: not given.",
    )
    caption_source: CaptionSource | None = Field(
        default="meta",
        description="Who wrote the captions to expect: meta (the published demo's choice), qwen "
        "or pengi; null: not given.",
    )
    masked_tokens: MaskedTokens = Field(
        default="zero",
        description="Output of the token of a field that is not given: zero, as in the published "
        "evaluation, or ordinary, as in its training.",
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(
                    "is not a time zone of the IANA database, such as Europe/Zurich"
                ) from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.hour_reference == "local") != (self.time_zone is not None):
            raise ValueError("hour_reference: local and time_zone: go together, give both")
        labels = self.slot_labels
        if len(set(labels)) != len(labels):
            twice = next(label for label in labels if labels.count(label) > 1)
            raise ValueError(f"the time slot {twice} is listed twice")
        if self.audio_source == "freesound" and any(s.hour is not None for s in self.time_slots):
            raise ValueError(
                "the hours of freesound recordings were unknown in training; leave out the hours "
                "or choose another audio_source"
            )
        return self

    @property
    def slot_labels(self) -> tuple[str, ...]:
        """Label of each time slot: ``05-13h``, ``05``, ``13h``; with ``-utc`` or ``-local``."""
        if not self.time_slots:
            return (NO_TIME_SLOT,)
        return tuple(_label(slot, self.hour_reference) for slot in self.time_slots)


def _label(slot: TimeSlot, reference: HourReference) -> str:
    parts = [] if slot.month is None else [f"{slot.month:02d}"]
    if slot.hour is not None:
        parts.append(f"{slot.hour:02d}h")
        if reference != "solar":
            parts.append(reference)
    return "-".join(parts)
