"""What is known of the collections that `stac` entries read, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from s2s_map.config.checked import Checked
from s2s_map.config.scale import ValueScale

TRUE_COLOUR = ValueScale(min=0.0, max=0.5, gamma=1.5)
"""Surface reflectance to 8 bit, see docs/imagery.md for where it comes from."""

PLANETARY_COMPUTER = "planetarycomputer.microsoft.com"
EARTH_SEARCH = "earth-search.aws.element84.com"

_BAND = re.compile(r"(.+)\.(\d{1,3})")
_CLEAR = (2, 4, 5, 6, 7, 11)


class StacAssets(Checked):
    """What the API calls the bands; NAME.2 is the second band of the asset NAME."""

    red: str = Field(default="red", description="Asset of red.")
    green: str = Field(default="green", description="Asset of green.")
    blue: str = Field(default="blue", description="Asset of blue.")
    mask: str | None = Field(
        default="scl",
        description="Asset that says by classes or bits what was seen; none: all was. Older name: "
        "scl.",
    )

    @model_validator(mode="before")
    @classmethod
    def _older_name(cls, data: object) -> object:
        if not isinstance(data, Mapping) or "scl" not in data:
            return data
        if "mask" in data:
            raise ValueError("give mask or scl, its older name, not both")
        return {"mask" if name == "scl" else name: value for name, value in data.items()}

    @field_validator("red", "green", "blue", "mask")
    @classmethod
    def _counted_from_1(cls, value: str | None) -> str | None:
        match = _BAND.fullmatch(value or "")
        if match and int(match[2]) == 0:
            raise ValueError(f"{value} names a band 0; bands are counted from 1")
        return value

    @property
    def colours(self) -> tuple[tuple[str, int], ...]:
        """Asset of red, green and blue, and the number of its band."""
        return tuple(band_of(name) for name in (self.red, self.green, self.blue))

    @property
    def files(self) -> tuple[str, ...]:
        """The assets, each once."""
        mask = () if self.mask is None else (self.mask,)
        return tuple(dict.fromkeys([name for name, _ in self.colours] + list(mask)))

    def asked(self) -> dict[str, str | None]:
        """Return them as a search keeps them, by their older names."""
        return {"red": self.red, "green": self.green, "blue": self.blue, "scl": self.mask}


def band_of(name: str) -> tuple[str, int]:
    """Return the asset and the number of its band.

    Examples:
        >>> band_of("image.2"), band_of("B04")
        (('image', 2), ('B04', 1))
    """
    match = _BAND.fullmatch(name)
    return (match[1], int(match[2])) if match else (name, 1)


@dataclass(frozen=True)
class StacProfile:
    """How the scenes of a collection are read.

    Attributes:
        says: What it is.
        assets: What APIs call its bands: by host, and "" for others.
        values: sentinel-2: numbers of Sentinel-2 L2A, which may carry 1,000; reflectance: numbers
            that are linear in it; levels: 8-bit true colour.
        factor: Reflectance a number, where the items do not say it.
        offset: Reflectance of number 0, where the items do not say it.
        nodata: Number of what was not seen, where the files do not say it; None of levels: those
            that are 0 in all bands.
        clear: Classes of the mask that count as seen.
        masked_bits: Bits of the mask that hide the ground.
        has_cloud: Whether items say ``eo:cloud_cover``. Where they do not, the newest come first.
        has_alpha: Whether a fourth band that files call alpha is one: infrared is called so, too.
        composite: How scenes become one picture, if the entry does not say.
        max_per_tile: Scenes at most of a tile and orbit, if the entry does not say.
        pixel_m: Pixel of the bands, metres.
        tile_m: Side of a scene on the ground, roughly, metres.
        orbits: Orbits that see a place and are counted apart, on average.
        example: Longitude and latitude where there are scenes.
    """

    says: str
    assets: Mapping[str, StacAssets]
    values: Literal["sentinel-2", "reflectance", "levels"]
    pixel_m: float
    factor: float = 1e-4
    offset: float = 0.0
    nodata: int | None = 0
    clear: tuple[int, ...] = ()
    masked_bits: tuple[int, ...] = ()
    has_cloud: bool = True
    has_alpha: bool = True
    composite: Literal["median", "best"] = "median"
    max_per_tile: int = 8
    tile_m: float = 100_000.0
    orbits: float = 1.0
    example: tuple[float, float] | None = None
    collections: tuple[str, ...] = field(default=())

    def defaults(self, url: str) -> dict[str, Any]:
        """Return what an entry that does not say otherwise has, for the API at an address."""
        host = urlsplit(url).hostname or ""
        return {
            "assets": self.assets.get(host, self.assets[""]),
            "scale": None if self.values == "levels" else TRUE_COLOUR,
            "pixel_m": self.pixel_m,
            "max_cloud": 20.0 if self.has_cloud else 100.0,
            "max_per_tile": self.max_per_tile,
            "composite": self.composite,
            "clear": self.clear,
            "masked_bits": self.masked_bits,
        }


def _one_asset(name: str, mask: str | None = None) -> StacAssets:
    return StacAssets(red=f"{name}.1", green=f"{name}.2", blue=f"{name}.3", mask=mask)


_SENTINEL = StacAssets(red="B04", green="B03", blue="B02", mask="SCL")

PROFILES: dict[str, StacProfile] = {
    "sentinel-2-l2a": StacProfile(
        says="Sentinel-2 Level-2A: surface reflectance at 10 m, clouds by the scene classification",
        assets={"": StacAssets(), PLANETARY_COMPUTER: _SENTINEL},
        values="sentinel-2",
        clear=_CLEAR,
        pixel_m=10.0,
        orbits=1.6,
        collections=("sentinel-2-l2a", "sentinel-2-c1-l2a"),
    ),
    "sentinel-2-visual": StacProfile(
        says="Sentinel-2 Level-2A true colour (TCI), 8 bit at 10 m, clouds by the scene "
        "classification",
        assets={
            "": _one_asset("visual", "scl"),
            PLANETARY_COMPUTER: _one_asset("visual", "SCL"),
        },
        values="levels",
        nodata=None,
        clear=_CLEAR,
        pixel_m=10.0,
        orbits=1.6,
    ),
    "landsat-c2-l2": StacProfile(
        says="Landsat 4 to 9, Collection 2 Level-2: surface reflectance = 0.0000275 n - 0.2 at "
        "30 m, clouds by bits of QA_PIXEL (Landsat Collection 2 Level-2 Science Product Guide)",
        assets={"": StacAssets(mask="qa_pixel")},
        values="reflectance",
        factor=2.75e-5,
        offset=-0.2,
        # Fill, dilated cloud, cirrus, cloud, cloud shadow. Snow, bit 5, is ground.
        masked_bits=(0, 1, 2, 3, 4),
        pixel_m=30.0,
        tile_m=170_000.0,
        orbits=1.3,
        collections=("landsat-c2-l2",),
    ),
    "hls": StacProfile(
        says="Harmonized Landsat and Sentinel-2 (HLS) v2, L30 or S30: surface reflectance = "
        "0.0001 n at 30 m, clouds by bits of Fmask (HLS Product User Guide)",
        assets={"": StacAssets(red="B04", green="B03", blue="B02", mask="Fmask")},
        values="reflectance",
        nodata=-9999,
        # Cloud, adjacent to cloud or shadow, cloud shadow. Snow, bit 4, is ground.
        masked_bits=(1, 2, 3),
        pixel_m=30.0,
        orbits=1.3,
        collections=("hls2-l30", "hls2-s30", "HLSL30_2.0", "HLSS30_2.0"),
    ),
    "naip": StacProfile(
        says="NAIP, aerial photographs of the United States: 8-bit red, green, blue and infrared "
        "in one asset, 0.3 to 1 m, without clouds, each state every two or three years",
        assets={"": _one_asset("image")},
        values="levels",
        nodata=None,
        has_cloud=False,
        has_alpha=False,
        composite="best",
        max_per_tile=1,
        pixel_m=0.6,
        tile_m=6_500.0,
        example=(-77.04, 38.9),
        collections=("naip",),
    ),
    "visual": StacProfile(
        says="8-bit true colour in an asset called visual, the newest first, all of it seen",
        assets={"": _one_asset("visual")},
        values="levels",
        nodata=None,
        has_cloud=False,
        composite="best",
        max_per_tile=1,
        pixel_m=10.0,
    ),
}
"""Profiles by name."""

DEFAULT_PROFILE = "sentinel-2-l2a"

PAID_COLLECTIONS = {
    EARTH_SEARCH: {
        "landsat-c2-l2": "landsat_planetary_computer",
        "naip": "naip_planetary_computer",
        "sentinel-2-l1c": "sentinel2_c1_earthsearch",
    }
}
"""Collections whose files lie where readers pay or log in, by host, and an entry that is free."""


def profile_of(collection: str) -> str:
    """Return the name of the profile that a collection has by its own name."""
    for name, profile in PROFILES.items():
        if collection in profile.collections:
            return name
    return DEFAULT_PROFILE
