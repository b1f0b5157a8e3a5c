"""Schema of an entry of ``data_catalog.yaml``: one imagery source."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SENSOR_PRESETS: dict[str, dict[str, float]] = {
    "sentinel": {"gsd_m": 10.0, "patch_m": 2560.0},
    "bing": {"gsd_m": 0.6, "patch_m": 180.0},
    "googleEarth": {"gsd_m": 0.2, "patch_m": 51.2},
    "landsat": {"gsd_m": 30.0, "patch_m": 2560.0},
}
"""Sensor profiles by name: 256 px at 10 m, 300 px at 0.6 m, 256 px at 0.2 m, 2,560 m at 30 m."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SensorProfile(_Frozen):
    """What the model is told about a source's scale."""

    gsd_m: float = Field(gt=0, description="Ground sample distance of the imagery, metres.")
    patch_m: float = Field(
        gt=0, description="Ground size of a patch, one model input, at zoom 1, metres."
    )


class ValueScale(_Frozen):
    """How source values become 8 bit: 255 * ((v - min) / (max - min)) ** (1 / gamma), clipped."""

    min: float = Field(description="Source value that becomes 0.")
    max: float = Field(description="Source value that becomes 255.")
    gamma: float = Field(default=1.0, gt=0, description="Gamma; above 1 brightens dark parts.")

    @model_validator(mode="after")
    def _check_order(self) -> ValueScale:
        if not self.min < self.max:
            raise ValueError(f"min {self.min:g} is not below max {self.max:g}")
        return self


class RasterEntry(_Frozen):
    """A source made of raster files that GDAL reads, in any CRS, mosaicked in the stated order."""

    type: Literal["raster"] = Field(description="Kind of source: raster, files that GDAL reads.")
    title: str = Field(min_length=1, description="One line that names the source to a person.")
    uri: str | tuple[str, ...] = Field(
        description="Path, glob (sorted by name), folder, or a list of these, relative to the "
        "catalog file; sample:NAME for imagery that comes with s2s_map. Where scenes overlap, "
        "the first with a valid pixel wins."
    )
    bands: tuple[int, int, int] = Field(
        default=(1, 2, 3), description="Bands of red, green and blue, counted from 1."
    )
    scale: ValueScale | None = Field(
        default=None,
        description="How source values become 0 to 255; leave out for 8-bit imagery as it is.",
    )
    nodata: float | None = Field(
        default=None,
        description="Source value of pixels without data, if the files do not say it themselves.",
    )
    sensor: SensorProfile = Field(
        description="Sensor profile: one of "
        + ", ".join(SENSOR_PRESETS)
        + "; or {gsd_m: metres, patch_m: metres}."
    )
    licence: str = Field(min_length=1, description="Licence of the imagery, SPDX where there is.")
    licence_url: str | None = Field(default=None, description="Where the licence is written.")
    attribution: str = Field(min_length=1, description="Attribution to print on every map.")
    provider: str | None = Field(default=None, description="Who publishes the imagery.")
    time: str | None = Field(
        default=None,
        description="When it was taken: ISO 8601 date or time, or an interval start/end.",
    )
    description: str | None = Field(default=None, description="Anything else worth knowing.")

    @field_validator("uri")
    @classmethod
    def _check_uri(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not value or any(not uri.strip() for uri in _as_tuple(value)):
            raise ValueError("empty; give a path, a glob or sample:NAME")
        return value

    @field_validator("bands")
    @classmethod
    def _check_bands(cls, value: tuple[int, int, int]) -> tuple[int, int, int]:
        if min(value) < 1:
            raise ValueError("bands are counted from 1")
        return value

    @field_validator("sensor", mode="before")
    @classmethod
    def _preset(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value not in SENSOR_PRESETS:
            raise ValueError(f"unknown sensor {value!r}; one of {', '.join(SENSOR_PRESETS)}")
        return SENSOR_PRESETS[value]

    @field_validator("time", mode="before")
    @classmethod
    def _check_time(cls, value: object) -> object:
        # YAML reads a bare 2020-05-18 as a date.
        if value is None:
            return None
        text = value.isoformat() if hasattr(value, "isoformat") else str(value)
        parse_time(text)
        return text

    @property
    def uris(self) -> tuple[str, ...]:
        """The declared URIs, in mosaic order."""
        return _as_tuple(self.uri)

    @property
    def interval(self) -> tuple[datetime, datetime] | None:
        """Start and end of the imagery's time, if stated."""
        return None if self.time is None else parse_time(self.time)


CatalogEntry = RasterEntry
"""Any kind of entry; `type:` says which."""

ENTRY_TYPES: dict[str, type[CatalogEntry]] = {"raster": RasterEntry}
"""Schema of each `type:`."""

Catalog = dict[str, CatalogEntry]
"""Entries by name."""


def parse_time(text: str) -> tuple[datetime, datetime]:
    """Return start and end of an ISO 8601 date, time or interval ``start/end``.

    A date alone lasts the whole day.

    Raises:
        ValueError: For anything else, or an end before its start.
    """
    start_text, _, end_text = text.partition("/")
    start, end = _instant(start_text, False), _instant(end_text or start_text, True)
    if end < start:
        raise ValueError(f"the interval {text} ends before it starts")
    return start, end


def _instant(text: str, is_end: bool) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no ISO 8601 date or time, such as 2020-05-18") from None
    if is_end and re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", text):
        instant = instant.replace(hour=23, minute=59, second=59)
    return instant


def _as_tuple(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
