"""What every entry of ``data_catalog.yaml`` says, of whatever type."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Literal, Self

from pydantic import Field, field_validator

from s2s_map.config.checked import Checked
from s2s_map.config.sensor import SENSOR_PRESETS, SensorProfile
from s2s_map.config.times import parse_time

OnMissing = Literal["nodata", "fail"]

_HOST = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Entry(Checked):
    """One imagery source: what all types of source have in common."""

    several_lines = frozenset({"description", "attribution", "licence"})

    type: str = Field(description="Kind of source.")
    title: str = Field(min_length=1, description="One line that names the source to a person.")
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
    env: tuple[str, ...] = Field(
        default=(),
        description="Environment variables it needs, by name. Checked before a run; their values "
        "are never written anywhere.",
    )
    redirects_to: tuple[str, ...] = Field(
        default=(),
        description="Other hosts that its servers may redirect to, HOST or HOST:PORT; redirects "
        "within the host are followed always, others never.",
    )
    on_missing: OnMissing = Field(
        default="fail",
        description="What to do where imagery that should be there cannot be read. nodata: go on, "
        "leave a hole and list it; fail: stop.",
    )
    description: str | None = Field(default=None, description="Anything else worth knowing.")

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

    @field_validator("env")
    @classmethod
    def _check_env(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _ENV_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of an environment variable")
        return value

    @field_validator("redirects_to")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is not HOST or HOST:PORT")
        return tuple(host.lower() for host in value)

    def anchored(self, anchor: Callable[[str], str]) -> Self:
        """Return the entry with its paths seen from the catalog file; a type with paths says which.

        Args:
            anchor: Makes a relative path one from the folder of the catalog, and leaves addresses
                as they are; raises CatalogError for what this catalog may not name.
        """
        return self

    @property
    def interval(self) -> tuple[datetime, datetime] | None:
        """Start and end of the imagery's time, if stated."""
        return None if self.time is None else parse_time(self.time)
