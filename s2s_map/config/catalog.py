"""Schemas of the entries of ``data_catalog.yaml`` by their type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from s2s_map.config.checked import NoData
from s2s_map.config.cube import ZarrEntry
from s2s_map.config.deferred import DeferredEntry
from s2s_map.config.entry import Entry, OnMissing
from s2s_map.config.files import usable_path
from s2s_map.config.scale import SCALE_HELP, Scale, ValueScale, with_preset
from s2s_map.config.sensor import SENSOR_PRESETS, SensorProfile
from s2s_map.config.stac import StacEntry
from s2s_map.config.times import parse_time
from s2s_map.config.webtiles import XyzEntry

__all__ = [
    "SENSOR_PRESETS",
    "Catalog",
    "CatalogEntry",
    "DeferredEntry",
    "MosaicOrder",
    "OnMissing",
    "RasterEntry",
    "SensorProfile",
    "StacEntry",
    "ValueScale",
    "XyzEntry",
    "ZarrEntry",
    "parse_time",
]


Band = Annotated[int, Field(ge=1, le=10_000)]
MosaicOrder = Literal["declared", "newest", "finest"]


class RasterEntry(Entry):
    """A source made of raster files that GDAL reads, in any CRS, mosaicked in the stated order."""

    type: Literal["raster"] = Field(description="Kind of source: raster, files that GDAL reads.")
    uri: str | tuple[str, ...] = Field(
        description="Path, glob (sorted by name), folder, or a list of these, relative to the "
        "catalog file; http(s)://, s3://, gs:// or az:// of a file, in which ${NAME} stands for a "
        "variable of env:; sample:NAME for imagery that comes with s2s_map."
    )
    order: MosaicOrder = Field(
        default="declared",
        description="Which scene wins where they overlap. declared: the first named, by name "
        "within a folder or glob; newest: by the date in the file names; finest: the "
        "smallest pixels.",
    )
    bands: tuple[Band, Band, Band] = Field(
        default=(1, 2, 3), description="Bands of red, green and blue, counted from 1."
    )
    scale: Scale | None = Field(
        default=None,
        description="How source values become 0 to 255; leave out for 8-bit imagery as it is. "
        + SCALE_HELP,
    )
    nodata: NoData | None = Field(
        default=None,
        description="Source value of pixels without data, if the files do not say it themselves.",
    )

    collar: Literal["mask", "keep"] = Field(
        default="mask",
        description="Pixels that are 0 in all three bands of a file without a mask or a no data "
        "value, where such pixels form its rim. mask: no data, and a line says so; keep: ground.",
    )

    @model_validator(mode="before")
    @classmethod
    def _preset_nodata(cls, data: object) -> object:
        return with_preset(data)

    @field_validator("uri")
    @classmethod
    def _check_uri(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not value or any(not uri.strip() for uri in _as_tuple(value)):
            raise ValueError("empty; give a path, a glob or sample:NAME")
        for uri in _as_tuple(value):
            usable_path(uri)
        return value

    def anchored(self, anchor: Callable[[str], str]) -> Self:
        """Return the entry with paths from the catalog's folder."""
        return self.model_copy(update={"uri": tuple(map(anchor, self.uris))})

    @property
    def uris(self) -> tuple[str, ...]:
        """The declared URIs, in mosaic order."""
        return _as_tuple(self.uri)


CatalogEntry = Entry
"""An entry of any type; `type:` says which schema it has, see `s2s_map.plugins`."""

Catalog = dict[str, CatalogEntry]
"""Entries by name."""


def stated_nodata(value: float | None) -> float | str | None:
    """Return a nodata value as an identity holds it: NaN would differ from itself."""
    return "nan" if value is not None and value != value else value  # noqa: PLR0124


def _as_tuple(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
