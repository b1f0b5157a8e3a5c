"""Schema of entries of type ``stac``: Sentinel-2 L2A from a STAC API."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field, field_validator

from s2s_map.config.checked import Checked, Class
from s2s_map.config.entry import Entry, OnMissing
from s2s_map.config.scale import PRESETS, SCALE_HELP, Scale, ValueScale
from s2s_map.config.times import parse_time
from s2s_map.config.webtiles import MannersConfig

TRUE_COLOUR = ValueScale(min=0.0, max=0.5, gamma=1.5)
"""Surface reflectance to 8 bit, see docs/imagery.md for where it comes from."""

_LAST = re.compile(r"last (\d{1,3}) (day|month|year)s?")
_DAYS = {"day": 1.0, "month": 365.25 / 12.0, "year": 365.25}


class StacAssets(Checked):
    """What the API calls the bands."""

    red: str = Field(default="red", description="Asset of red, B04.")
    green: str = Field(default="green", description="Asset of green, B03.")
    blue: str = Field(default="blue", description="Asset of blue, B02.")
    scl: str = Field(default="scl", description="Asset of the scene classification, SCL.")

    @property
    def colours(self) -> tuple[str, str, str]:
        """Red, green, blue."""
        return self.red, self.green, self.blue


class StacEntry(Entry):
    """Sentinel-2 L2A found through a STAC API, clouds masked, composited, as 8-bit true colour."""

    type: Literal["stac"] = Field(description="Kind of source: stac, scenes of a STAC API.")
    url: str = Field(description="Root of the API, https://...")
    collection: str = Field(min_length=1, description="Collection of Sentinel-2 L2A.")
    time: str = Field(
        description="Scenes of which time: an interval start/end, or `last 12 months` (days, "
        "years), counted back from the day the search is made."
    )
    assets: StacAssets = Field(default_factory=StacAssets, description="What the bands are called.")
    max_cloud: float = Field(
        default=20.0, ge=0, le=100, description="Cloudiest scene to take, percent of cloud."
    )
    max_per_tile: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Scenes at most of each MGRS tile and orbit, the least cloudy.",
    )
    clear: tuple[Class, ...] = Field(
        default=(2, 4, 5, 6, 7, 11),
        min_length=1,
        description="Classes of SCL that count as seen: dark, vegetation, bare, water, "
        "unclassified, snow. The others are cloud, shadow or no data.",
    )
    composite: Literal["median", "best"] = Field(
        default="median",
        description="median: of all clear scenes, band by band. best: the one scene, by class, "
        "then by the cloud of its tile.",
    )
    scale: Scale = Field(
        default=TRUE_COLOUR,
        description="How surface reflectance, 0 to 1, becomes 0 to 255: "
        + SCALE_HELP.partition(", or a product")[0]
        + ".",
    )
    pixel_m: float = Field(
        default=10.0, ge=0.001, le=100_000, description="Pixel of the bands, metres."
    )
    token_url: str | None = Field(
        default=None,
        description="Where to fetch the tokens that sign addresses, as Planetary Computer wants "
        "it: {collection} is put in. Left out: addresses are not signed.",
    )
    on_missing: OnMissing = Field(
        default="nodata",
        description="What to do where a scene that was found cannot be read. nodata: go on with "
        "the others and list it; fail: stop.",
    )

    on_missing_search: OnMissing = Field(
        default="fail",
        description="What to do where the API does not answer a part of the search. fail: stop "
        "before anything is mapped; nodata: go on without the scenes of that part and list it as a "
        "hole.",
    )
    manners: MannersConfig = Field(
        default_factory=MannersConfig, description="How the API is asked when it is searched."
    )

    @field_validator("scale", mode="before")
    @classmethod
    def _no_preset(cls, value: object) -> object:
        if isinstance(value, str) and value in PRESETS:
            raise ValueError(
                "these scenes become reflectance by themselves; numbers, auto or match"
            )
        return value

    @field_validator("url", "token_url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/\s]+", value):
            raise ValueError("no address such as https://host/path")
        return value

    @field_validator("time", mode="before")
    @classmethod
    def _check_time(cls, value: object) -> object:
        text = value.isoformat() if hasattr(value, "isoformat") else str(value).strip()
        if not _LAST.fullmatch(text):
            parse_time(text)
        return text

    @property
    def interval(self) -> tuple[datetime, datetime] | None:
        """Start and end of the imagery's time; None for one counted back from a search."""
        return None if _LAST.fullmatch(self.time) else parse_time(self.time)


def resolve_time(text: str, now: datetime) -> str:
    """Return an interval start/end for what a `stac` entry's time says.

    ``last 12 months`` ends with the day of `now`; everything else stays as it is.

    Examples:
        >>> resolve_time("last 12 months", datetime(2024, 3, 1, 12, tzinfo=UTC))
        '2023-03-02/2024-03-01'
    """
    match = _LAST.fullmatch(text)
    if match is None:
        return text
    days = round(int(match[1]) * _DAYS[match[2]])
    last = now.astimezone(UTC).date()
    return f"{last - timedelta(days=days)}/{last}"
