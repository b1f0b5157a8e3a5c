"""How source values become the 8 bit that models look at: as written, measured, or by name."""

from __future__ import annotations

import difflib
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, TypeGuard

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from s2s_map.config.checked import Checked

_NEAREST = 1e-6

Value = Annotated[float, Field(ge=-1e12, le=1e12)]
Gamma = Annotated[float, Field(ge=0.01, le=100)]
Percent = Annotated[float, Field(ge=0, le=100)]
Level = Annotated[float, Field(ge=0, le=255)]
type Curve = Annotated[tuple[tuple[Value, Level], ...], Field(min_length=2, max_length=64)]
"""Source values and the level, 0 to 255, that each becomes; both ascend, straight between."""


class ValueScale(Checked):
    """How source values become 8 bit: 255 * ((v - min) / (max - min)) ** (1 / gamma), clipped."""

    min: Value = Field(description="Source value that becomes 0.")
    max: Value = Field(description="Source value that becomes 255.")
    gamma: Gamma = Field(default=1.0, description="Gamma; above 1 brightens dark parts.")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        # Nearer together, values could not be distinguished as they are computed with, in 32 bits.
        if not self.max - self.min > _NEAREST * max(abs(self.min), abs(self.max)):
            raise ValueError(f"min {self.min:g} is not below max {self.max:g}")
        return self


type BandScales = tuple[ValueScale, ValueScale, ValueScale]


class PercentileScale(Checked):
    """Each band between two percentiles of the whole source, measured once."""

    percentiles: tuple[Percent, Percent] = Field(
        default=(0.5, 99.7), description="Percentiles of a band that become 0 and 255."
    )
    gamma: Gamma = Field(default=1.3, description="Gamma; above 1 brightens dark parts.")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        low, high = self.percentiles
        if not 0.0 <= low < high <= 100.0:
            raise ValueError(
                f"percentiles {low:g} and {high:g}: two numbers from 0 to 100, lower first"
            )
        return self


class MatchScale(Checked):
    """Each band by the curve that gives it the distribution of what the model saw."""

    match: Literal["model"] = Field(default="model", description="What to match: the model.")


class MeasuredScale(Checked):
    """What `auto`, percentiles or `match` came to for one source; can be written out as well.

    Either `bands` or `curves`.
    """

    asked: PercentileScale | MatchScale | None = Field(
        default=None, description="What the entry said."
    )
    reference: str = Field(default="", description="SHA-256 of what the model saw; match only.")
    bands: BandScales | None = Field(default=None, description="Red, green, blue.")
    curves: tuple[Curve, Curve, Curve] | None = Field(
        default=None, description="Red, green, blue: pairs of a source value and its level."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.bands is None) == (self.curves is None):
            raise ValueError("either bands: or curves:")
        for curve in self.curves or ():
            steps = pairwise(curve)
            if any(b[0] <= a[0] or b[1] < a[1] for a, b in steps):
                raise ValueError("the values of a curve ascend, and so do its levels")
        return self


AUTO, MATCH = "auto", "match"


class Preset(Checked):
    """Numbers of a known product, as its documentation defines them.

    Attributes:
        scale: From the numbers as stored to 8 bit.
        nodata: What stands where there is nothing; None: nothing does.
        says: What the numbers are, and where that is written.
    """

    scale: ValueScale
    nodata: Annotated[float | None, Field(ge=0, le=65_535)]
    says: str


def _reflectance(factor: float, offset: float, says: str) -> Preset:
    # As `stac` entries are shown: reflectance 0 to 0.5, gamma 1.5.
    return Preset(
        scale=ValueScale(
            min=round(-offset / factor, 6), max=round((0.5 - offset) / factor, 6), gamma=1.5
        ),
        nodata=0.0,
        says=says,
    )


PRESETS = {
    "landsat-c2-l1": _reflectance(
        2e-5,
        -0.1,
        "Landsat 8 and 9, Collection 2 Level 1: reflectance = 0.00002 n - 0.1, without the sun's "
        "height (Landsat 8-9 Data Users Handbook, REFLECTANCE_MULT and REFLECTANCE_ADD of MTL)",
    ),
    "landsat-c2-l2": _reflectance(
        2.75e-5,
        -0.2,
        "Landsat 4 to 9, Collection 2 Level 2: surface reflectance = 0.0000275 n - 0.2 "
        "(Landsat Collection 2 Level-2 Science Product Guide)",
    ),
    "sentinel2-l1c": _reflectance(
        1e-4,
        -0.1,
        "Sentinel-2 L1C from baseline 04.00 on, 25 January 2022: reflectance = (n - 1000) / 10000 "
        "(Sentinel-2 Products Specification Document, RADIO_ADD_OFFSET)",
    ),
    "sentinel2-l1c-before-2022": _reflectance(
        1e-4, 0.0, "Sentinel-2 L1C before baseline 04.00: reflectance = n / 10000"
    ),
    "sentinel2-l2a": _reflectance(
        1e-4,
        -0.1,
        "Sentinel-2 L2A from baseline 04.00 on, 25 January 2022: reflectance = (n - 1000) / 10000 "
        "(Sentinel-2 Products Specification Document, BOA_ADD_OFFSET)",
    ),
    "sentinel2-l2a-before-2022": _reflectance(
        1e-4, 0.0, "Sentinel-2 L2A before baseline 04.00, or harmonised: reflectance = n / 10000"
    ),
    "planetscope": _reflectance(
        1e-4,
        0.0,
        "PlanetScope ortho_analytic surface reflectance, 4 or 8 bands: reflectance = n / 10000, 0 "
        "no data (Planet Imagery Product Specifications)",
    ),
    "naip": Preset(
        scale=ValueScale(min=0.0, max=255.0),
        nodata=None,
        says="NAIP ortho photographs: 8 bit as they are, bands red, green, blue, near infrared",
    ),
}
"""Scales by name."""


def _named(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value == AUTO:
        return {"percentiles": (0.5, 99.7)}
    if value == MATCH:
        return {"match": "model"}
    if value in PRESETS:
        return PRESETS[value].scale.model_dump()
    near = difflib.get_close_matches(value, [AUTO, MATCH, *PRESETS], n=1, cutoff=0.6)
    raise ValueError(
        f"unknown scale {value!r}; "
        + (f"did you mean {near[0]}?" if near else f"auto, match, {', '.join(PRESETS)}, or numbers")
    )


def _kind(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "bands"
    keys = set(value) if isinstance(value, dict) else set(getattr(value, "model_fields_set", ()))
    if isinstance(value, PercentileScale) or keys & {"percentiles"}:
        return "percentiles"
    if isinstance(value, MatchScale) or "match" in keys:
        return "match"
    if isinstance(value, MeasuredScale) or keys & {"bands", "curves"}:
        return "measured"
    return "range"


type Scale = Annotated[
    Annotated[ValueScale, Tag("range")]
    | Annotated[BandScales, Tag("bands")]
    | Annotated[PercentileScale, Tag("percentiles")]
    | Annotated[MatchScale, Tag("match")]
    | Annotated[MeasuredScale, Tag("measured")],
    Discriminator(_kind),
    BeforeValidator(_named),
]
"""What `scale:` may be."""

type FixedScale = ValueScale | BandScales | MeasuredScale
"""A scale whose numbers are known."""

SCALE_HELP = (
    "{min, max, gamma} for all bands, a list of three of them for red, green and blue, "
    "{percentiles: [low, high], gamma}, auto: between percentiles 0.5 and 99.7 of each band with "
    "gamma 1.3, match: to the distribution of what the model saw, or a product by name: "
    + ", ".join(PRESETS)
    + "."
)


def with_preset(data: object) -> object:
    """Return an entry's fields with the no data value of a preset, where they name one."""
    if not isinstance(data, dict) or not isinstance(data.get("scale"), str):
        return data
    preset = PRESETS.get(data["scale"])
    if preset is None or preset.nodata is None or data.get("nodata") is not None:
        return data
    return {**data, "nodata": preset.nodata}


def is_measured(scale: object) -> TypeGuard[PercentileScale | MatchScale]:
    """Return whether a scale's numbers are still to be measured."""
    return isinstance(scale, PercentileScale | MatchScale)


def dumped(scale: Any) -> Any:
    """Return a scale as JSON, for the identity of embeddings."""
    if scale is None:
        return None
    if isinstance(scale, tuple):
        return [one.model_dump() for one in scale]
    return scale.model_dump(mode="json", exclude_none=True)


def written(scale: MeasuredScale) -> str:
    """Return measured numbers as they are written in a catalog."""
    if scale.bands is not None:
        ranges = (
            f"{{min: {band.min:.9g}, max: {band.max:.9g}, gamma: {band.gamma:g}}}"
            for band in scale.bands
        )
        return f"[{', '.join(ranges)}]"
    curves = (
        "[" + ", ".join(f"[{value:.9g}, {level:.9g}]" for value, level in curve) + "]"
        for curve in scale.curves or ()
    )
    return f"{{curves: [{', '.join(curves)}]}}"
