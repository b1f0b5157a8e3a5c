"""Schema of entries of type ``torchgeo``: a dataset of torchgeo, or a subclass of your own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from s2s_map.config.checked import NoData
from s2s_map.config.entry import Entry
from s2s_map.config.scale import SCALE_HELP, Scale, with_preset

PATHS = ("paths", "root")
"""Arguments of torchgeo's datasets that are paths."""

_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")

Channel = Annotated[int, Field(ge=1, le=10_000)]


class TorchgeoEntry(Entry):
    """A source that is a torchgeo `GeoDataset`, read in its own CRS and pixels."""

    type: Literal["torchgeo"] = Field(
        description="Kind of source: torchgeo, a GeoDataset by the name of its class. Naming one "
        "runs its code, as python: does."
    )
    dataset: str = Field(
        max_length=300,
        description="The class, from where Python finds modules, such as "
        "torchgeo.datasets.Landsat8 or my_module.MyDataset; on workers too.",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="What the class is called with, by name; paths: and root: are relative to the "
        "catalog file.",
    )
    bands: tuple[Channel, Channel, Channel] = Field(
        default=(1, 2, 3),
        description="Channels of the dataset's image that are red, green and blue, counted from 1.",
    )
    scale: Scale | None = Field(
        default=None,
        description="How source values become 0 to 255; leave out for 8-bit imagery as it is. "
        + SCALE_HELP,
    )
    nodata: NoData | None = Field(
        default=None,
        description="Value of pixels without data, if neither dataset nor files say it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _preset_nodata(cls, data: object) -> object:
        return with_preset(data)

    @field_validator("dataset")
    @classmethod
    def _check_class(cls, value: str) -> str:
        if not _CLASS.fullmatch(value):
            raise ValueError("takes MODULE.CLASS, such as torchgeo.datasets.Landsat8")
        return value

    @field_validator("arguments")
    @classmethod
    def _check_arguments(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise ValueError(
                "takes texts, numbers, lists and keys with values; put dates in quotes"
            ) from None
        return value

    def anchored(self, anchor: Callable[[str], str]) -> Self:
        """Return the entry with paths from the catalog's folder."""
        found = {
            key: _anchored(value, anchor) if key in PATHS else value
            for key, value in self.arguments.items()
        }
        return self.model_copy(update={"arguments": found})


def _anchored(value: Any, anchor: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return anchor(value)
    if isinstance(value, list):
        return [_anchored(one, anchor) for one in value]
    return value
