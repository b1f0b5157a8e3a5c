"""Schema of entries of type ``zarr``: an existing cube of imagery."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from s2s_map.config.checked import Class, NoData
from s2s_map.config.entry import Entry
from s2s_map.config.files import usable_path
from s2s_map.config.scale import SCALE_HELP, Scale, with_preset
from s2s_map.config.times import parse_time

LATEST = "latest"
Band = str | Annotated[int, Field(ge=1, le=10_000)]


class ZarrEntry(Entry):
    """Imagery of Zarr v2 or v3 stores that xarray opens: plain cubes, or ESA's EOPF products."""

    type: Literal["zarr"] = Field(description="Kind of source: zarr, cubes of imagery.")
    uri: str | tuple[str, ...] = Field(
        description="Path of a store, or a list of them, the first that sees a place wins; "
        "relative to the catalog file; or http(s)://, s3://, gs:// or az://, in which ${NAME} "
        "stands for a variable of env:."
    )
    group: str | None = Field(
        default=None,
        max_length=1000,
        description="Group of the variables within a store. Left out: "
        "measurements/reflectance/r10m of an EOPF product, else the root.",
    )
    variable: str | None = Field(
        default=None,
        description="Variable with a dimension of bands. Left out: each band is a variable.",
    )
    bands: tuple[Band, Band, Band] | None = Field(
        default=None,
        description="Red, green and blue: names of variables; with variable:, labels of its bands, "
        "or their numbers counted from 1. Left out: b04, b03, b02 of an EOPF product, else red, "
        "green, blue; with variable: 1, 2, 3.",
    )
    crs: str | None = Field(
        default=None, description="CRS, such as EPSG:32632, if the store does not say it itself."
    )
    scale: Scale | None = Field(
        default=None,
        description="How values, after the store's own scale and offset, become 0 to 255. Left "
        "out: the true colour of `stac` entries for an EOPF product; 8-bit imagery as it is. "
        + SCALE_HELP,
    )
    nodata: NoData | None = Field(
        default=None,
        description="Value, as stored, of pixels without data, if the store does not say it.",
    )
    time: str | None = Field(
        default=None,
        description="Which times of the cube: an ISO 8601 date or time; an interval start/end, "
        "whose median is taken; or `latest`. Needed where there is more than one.",
    )
    clear: tuple[Class, ...] = Field(
        default=(2, 4, 5, 6, 7, 11),
        description="Classes of an EOPF product's scene classification that count as seen; [] "
        "takes everything.",
    )

    @model_validator(mode="before")
    @classmethod
    def _preset_nodata(cls, data: object) -> object:
        return with_preset(data)

    @field_validator("uri")
    @classmethod
    def _check_uri(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        uris = (value,) if isinstance(value, str) else value
        if not uris or any(not uri.strip() for uri in uris):
            raise ValueError("empty; give the path or address of a store")
        if any("?" in uri for uri in uris):
            raise ValueError("an address of a store takes no ?query; keys go into the environment")
        for uri in uris:
            usable_path(uri)
        return value

    @field_validator("time", mode="before")
    @classmethod
    def _check_time(cls, value: object) -> object:
        if value is None:
            return None
        text = value.isoformat() if hasattr(value, "isoformat") else str(value).strip()
        if text != LATEST:
            parse_time(text)
        return text

    @model_validator(mode="after")
    def _check_bands(self) -> ZarrEntry:
        numbers = [band for band in self.bands or () if isinstance(band, int)]
        if numbers and self.variable is None:
            raise ValueError("bands: numbers count the bands of variable:, which is not given")
        return self

    def anchored(self, anchor: Callable[[str], str]) -> Self:
        """Return the entry with paths from the catalog's folder."""
        return self.model_copy(update={"uri": tuple(map(anchor, self.uris))})

    @property
    def uris(self) -> tuple[str, ...]:
        """The declared stores, in mosaic order."""
        return (self.uri,) if isinstance(self.uri, str) else self.uri

    @property
    def interval(self) -> tuple[datetime, datetime] | None:
        """Start and end of the imagery's time; None for the latest, until it is looked up."""
        return None if self.time in (None, LATEST) else parse_time(str(self.time))
