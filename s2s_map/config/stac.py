"""Schema of entries of type ``stac``: scenes of a STAC API."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from s2s_map.config.checked import Class
from s2s_map.config.entry import Entry, OnMissing
from s2s_map.config.scale import PRESETS, SCALE_HELP, Scale
from s2s_map.config.stac_profiles import (
    DEFAULT_PROFILE,
    PAID_COLLECTIONS,
    PROFILES,
    StacAssets,
    StacProfile,
    profile_of,
)
from s2s_map.config.times import parse_time
from s2s_map.config.webtiles import MannersConfig

Bit = Annotated[int, Field(ge=0, le=15)]

_LAST = re.compile(r"last (\d{1,3}) (day|month|year)s?")
_DAYS = {"day": 1.0, "month": 365.25 / 12.0, "year": 365.25}


class StacEntry(Entry):
    """Scenes found through a STAC API, clouds masked, composited, as 8-bit true colour.

    What the entry does not say is as its `profile` has it.
    """

    type: Literal["stac"] = Field(description="Kind of source: stac, scenes of a STAC API.")
    url: str = Field(description="Root of the API, https://...")
    collection: str = Field(min_length=1, description="Collection of the API, by its id.")
    profile: str = Field(
        default=DEFAULT_PROFILE,
        description="How its scenes are read: "
        + ", ".join(PROFILES)
        + f". Left out: by the name of the collection, or {DEFAULT_PROFILE}.",
    )
    time: str = Field(
        description="Scenes of which time: an interval start/end, or `last 12 months` (days, "
        "years), counted back from the day the search is made."
    )
    assets: StacAssets = Field(default_factory=StacAssets, description="What the bands are called.")
    max_cloud: float = Field(
        default=20.0,
        ge=0,
        le=100,
        description="Cloudiest scene to take, percent of cloud; not where items do not say it.",
    )
    max_per_tile: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Scenes at most of each tile and orbit: the least cloudy, or the newest where "
        "items do not say how cloudy they are.",
    )
    clear: tuple[Class, ...] = Field(
        default=(),
        description="Classes of the mask that count as seen; of Sentinel-2's SCL dark, vegetation, "
        "bare, water, unclassified, snow. The others are cloud, shadow or no data.",
    )
    masked_bits: tuple[Bit, ...] = Field(
        default=(),
        description="Bits of the mask that hide the ground, counted from 0, such as cloud and its "
        "shadow, where the mask is one of bits.",
    )
    composite: Literal["median", "best"] = Field(
        default="median",
        description="median: of all clear scenes, band by band. best: the one scene, by class, "
        "then the least cloudy, or the newest.",
    )
    scale: Scale | None = Field(
        default=None,
        description="How surface reflectance, 0 to 1, becomes 0 to 255, or levels of 8 bit do; "
        "left out, 8 bit stays as it is: " + SCALE_HELP.partition(", or a product")[0] + ".",
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

    @model_validator(mode="before")
    @classmethod
    def _from_profile(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        url, collection = data.get("url"), data.get("collection")
        name = data.get("profile", profile_of(str(collection)))
        if not isinstance(name, str) or name not in PROFILES:
            return data
        return {**_known_fields(PROFILES[name], str(url), data), "profile": name}

    @field_validator("profile")
    @classmethod
    def _known_profile(cls, value: str) -> str:
        if value not in PROFILES:
            near = difflib.get_close_matches(value, PROFILES, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(PROFILES)}"
            raise ValueError(f"unknown profile {value!r}; {hint}")
        return value

    @model_validator(mode="after")
    def _fits_profile(self) -> Self:
        known = self.known
        if self.clear and self.masked_bits:
            raise ValueError("give clear: or masked_bits:, as the mask is of classes or of bits")
        if self.assets.mask is None and (self.clear or self.masked_bits):
            raise ValueError(
                "clear: and masked_bits: are of a mask, which assets: does not name; set "
                "assets: {mask: NAME}"
            )
        if self.assets.mask is not None and not (self.clear or self.masked_bits):
            raise ValueError(
                f"assets: names the mask {self.assets.mask}, but neither clear: nor masked_bits: "
                "says what of it is seen"
            )
        if not known.has_cloud and self.max_cloud < 100.0:
            raise ValueError(
                f"max_cloud: {self.max_cloud:g}, but scenes of profile {self.profile} do not say "
                "how cloudy they are; leave it out"
            )
        if known.values != "levels" and self.scale is None:
            raise ValueError("scale: is needed, as these scenes are reflectance")
        paid = PAID_COLLECTIONS.get(urlsplit(self.url).hostname or "", {})
        free = paid.get(self.collection)
        if free is not None and "AWS_REQUEST_PAYER" not in self.env:
            raise ValueError(
                f"collection: the files of {self.collection} at this API lie where readers pay or "
                f"log in; use the entry {free}, which is free"
            )
        return self

    @property
    def known(self) -> StacProfile:
        """What is known of the collection."""
        return PROFILES[self.profile]

    @field_validator("scale", mode="before")
    @classmethod
    def _no_preset(cls, value: object) -> object:
        if isinstance(value, str) and value in PRESETS:
            raise ValueError(
                "these scenes become reflectance or are 8 bit by themselves; numbers, auto or match"
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


def _known_fields(profile: StacProfile, url: str, said: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of an entry with those that its profile knows."""
    known = profile.defaults(url)
    fields = dict(said)
    assets = said.get("assets")
    if isinstance(assets, Mapping):
        named = dict(assets)
        if "scl" in named and "mask" not in named:
            named["mask"] = named.pop("scl")
        fields["assets"] = named = {**known["assets"].model_dump(), **named}
        if named["mask"] is None:
            known["clear"] = known["masked_bits"] = ()
    # Of a mask of another kind than the profile's.
    for one, other in (("clear", "masked_bits"), ("masked_bits", "clear")):
        if said.get(one) and other not in said:
            known[other] = ()
    return {**known, **fields}


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
