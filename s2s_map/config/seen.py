"""What a model saw in training: the colours of its imagery, small enough to ship with its card."""

from __future__ import annotations

import hashlib
from typing import Annotated, Self

from pydantic import Field, model_validator

from s2s_map.config.checked import Checked

PERCENTILES = (0.5, 2.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.5)
"""Those that a card says of each band."""

Level = Annotated[float, Field(ge=0, le=255)]

JOINT_LEVELS = 8
"""Levels of each band in the joint histogram: 32 of the 256 each."""


class SeenBand(Checked):
    """One band of the imagery that a model saw, in levels 0 to 255."""

    percentiles: tuple[Level, ...] = Field(
        description="Levels at percentiles 0.5, 2, 5, 10, 25, 50, 75, 90, 95, 98 and 99.5."
    )
    mean: float = Field(ge=0, le=255, description="Mean level.")
    deviation: float = Field(gt=0, le=255, description="Standard deviation of the levels.")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if len(self.percentiles) != len(PERCENTILES):
            raise ValueError(f"{len(self.percentiles)} percentiles instead of {len(PERCENTILES)}")
        if list(self.percentiles) != sorted(self.percentiles):
            raise ValueError("percentiles ascend")
        return self


class SeenImagery(Checked):
    """The colours of the imagery that a model was trained on."""

    source: str = Field(description="Which imagery, and how it became 8 bit.")
    red: SeenBand = Field(description="Red.")
    green: SeenBand = Field(description="Green.")
    blue: SeenBand = Field(description="Blue.")
    joint: dict[str, Annotated[int, Field(ge=0, le=1_000_000)]] = Field(
        description="Joint histogram: pixels in a million by eighths of red, green and blue, such "
        "as '021': red below 32, green 64 to 95, blue 32 to 63. What is left out is 0."
    )
    zeros: float = Field(ge=0, le=1, description="Share of pixels that are 0 in all bands.")
    pixels: int = Field(ge=1, le=1_000_000_000_000, description="Pixels counted.")
    advice: str = Field(
        default="auto", description="The `scale:` to recommend for numbers that are not 8 bit."
    )

    @model_validator(mode="after")
    def _octal(self) -> Self:
        if any(len(key) != 3 or set(key) - set("01234567") for key in self.joint):
            raise ValueError("keys of joint: three digits from 0 to 7")
        return self

    @property
    def bands(self) -> tuple[SeenBand, SeenBand, SeenBand]:
        """Red, green, blue."""
        return self.red, self.green, self.blue

    @property
    def sha256(self) -> str:
        """Hash of what `scale: match` uses."""
        text = repr([band.percentiles for band in self.bands])
        return hashlib.sha256(text.encode()).hexdigest()
