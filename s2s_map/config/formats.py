"""Formats of a layer's files beside its GeoTIFFs."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from s2s_map.config.kinded import Kinded
from s2s_map.plugins.kinds import FORMATS


class FormatConfig(Kinded):
    """A format by name, with the settings that its own schema has."""

    registry: ClassVar = FORMATS
    key: ClassVar[str] = "format"
    short: ClassVar[bool] = True

    format: str = Field(
        max_length=200, description="Name of the format, of a package or python:MODULE:NAME."
    )


GEOTIFF = "geotiff"
"""The format that every layer has: previews, styles and comparisons read it."""
