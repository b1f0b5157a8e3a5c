"""Schema of catalog entries of type ``xyz``: web tiles by template."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from s2s_map.config.checked import Checked, Degrees
from s2s_map.config.entry import Entry, OnMissing

_PLACE = re.compile(r"(\$?)\{([^}]*)\}")
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_SWITCH = re.compile(r"\{switch:[^}]*\}")
_PORTS = {"http": ":80", "https": ":443"}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PLACES = {
    "x": "x",
    "y": "y",
    "-y": "y",
    "z": "z",
    "quadkey": "quadkey",
    "bbox": "bbox",
    # As WMTS capabilities name them.
    "TileMatrix": "z",
    "TileCol": "x",
    "TileRow": "y",
}


_HINTS = {
    "TileMatrixSet": ": write a matrix set of web mercator's quad in its place, such as "
    "GoogleMapsCompatible; others cannot be read"
}


Status = Annotated[int, Field(ge=100, le=599)]


class BlankConfig(Checked):
    """How a server says that it has no imagery at a place; such web tiles count as no data."""

    status: tuple[Status, ...] = Field(
        default=(204, 404), description="Status codes of web tiles that do not exist."
    )
    header: str | None = Field(
        default=None,
        description="Header of a placeholder image, NAME: VALUE, such as X-VE-Tile-Info: no-tile.",
    )
    sha256: tuple[str, ...] = Field(
        default=(), description="SHA-256 of placeholder images, hexadecimal."
    )
    colour: tuple[str, ...] = Field(
        default=(),
        description="Colours, as #rrggbb, of web tiles of one colour that stand for no imagery.",
    )

    @field_validator("colour")
    @classmethod
    def _check_colour(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for colour in value:
            if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
                raise ValueError(f"{colour!r} is not a colour such as #f2efe9")
        return tuple(colour.lower() for colour in value)

    @field_validator("sha256")
    @classmethod
    def _check_sha256(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for digest in value:
            if not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
                raise ValueError(f"{digest!r} is not a SHA-256 of 64 hexadecimal digits")
        return tuple(digest.lower() for digest in value)

    @field_validator("header")
    @classmethod
    def _check_header(cls, value: str | None) -> str | None:
        if value is not None and not value.partition(":")[2].strip():
            raise ValueError("give NAME: VALUE")
        return value


class MannersConfig(Checked):
    """How a server is asked: how often, how patiently, and when to leave it alone."""

    connections: int = Field(
        default=8, ge=1, le=64, description="Requests in flight of each process."
    )
    per_second: float = Field(
        default=20.0,
        ge=1e-4,
        le=10_000,
        description="Requests a second to the host, at most, of all processes of a machine.",
    )
    per_day: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="Requests a day that the provider allows, of all processes of a machine: the "
        "plan warns beyond it; a run stops at it, to be started again the next day (UTC).",
    )
    attempts: int = Field(default=5, ge=1, le=10, description="Attempts for one web tile.")
    first_wait_s: float = Field(
        default=1.0,
        gt=0,
        le=86_400,
        description="Wait before the second attempt; doubles, with jitter.",
    )
    longest_wait_s: float = Field(
        default=60.0,
        gt=0,
        le=86_400,
        description="Longest wait, seconds. A server that asks for a longer one (Retry-After) is "
        "not asked again for that web tile.",
    )
    timeout_s: float = Field(
        default=30.0, gt=0, le=3600, description="Time for one answer, seconds."
    )
    breaker_failures: int = Field(
        default=20,
        ge=1,
        le=10**6,
        description="Failures in a row after which the host is left alone.",
    )
    breaker_rest_s: float = Field(
        default=30.0,
        gt=0,
        le=86_400,
        description="Rest before it is asked again, seconds; doubles.",
    )
    breaker_rests: int = Field(
        default=4, ge=0, le=1000, description="Rests after which the host is given up."
    )


class CacheConfig(Checked):
    """What is kept on disk between runs; the server's own Cache-Control holds within this."""

    max_gb: float = Field(
        default=10.0,
        ge=0,
        le=10**6,
        description="Size of the cache of this source in 10^9 bytes; 0 keeps nothing on disk.",
    )
    max_days: float = Field(
        default=30.0,
        gt=0,
        le=36_525,
        description="Longest time a web tile is kept, days, whatever the server allows.",
    )
    fresh_days: float = Field(
        default=7.0,
        ge=0,
        le=36_525,
        description="Time a web tile is used without asking again where the server does not say "
        "for how long it may be, days.",
    )


class XyzEntry(Entry):
    """Web tiles in web mercator: by template, Bing's quadkey, WMTS or WMS."""

    type: Literal["xyz"] = Field(description="Kind of source: xyz, web tiles by template.")
    url: str = Field(
        description="Template with {z}, {x}, {y} (or {-y}, counted from the south), or {quadkey}, "
        "or WMTS's {TileMatrix}, {TileCol}, {TileRow}, or {bbox} in EPSG:3857 for WMS; {s} is one "
        "of subdomains:, {switch:a,b} likewise; "
        "${NAME} is a variable listed in env:."
    )
    subdomains: tuple[str, ...] = Field(default=(), description="What {s} stands for, in turn.")
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Headers of every request; ${NAME} is a variable listed in env:.",
    )
    tile_px: Literal[256, 512] = Field(default=256, description="Pixels along a web tile's side.")
    min_zoom: int = Field(default=0, ge=0, le=24, description="Coarsest level there is.")
    max_zoom: int = Field(default=19, ge=0, le=24, description="Finest level there is.")
    zoom: int | None = Field(
        default=None,
        ge=0,
        le=24,
        description="Level to use; if not given, the coarsest whose pixels are at most "
        "sensor.gsd_m (10 % tolerance) on the ground all over the region.",
    )
    bounds: tuple[Degrees, Degrees, Degrees, Degrees] | None = Field(
        default=None, description="West, south, east, north in degrees; the whole Earth if not set."
    )
    blank: BlankConfig = Field(default_factory=BlankConfig, description="Placeholders: no data.")
    manners: MannersConfig = Field(
        default_factory=MannersConfig, description="How the host is asked."
    )
    cache: CacheConfig = Field(default_factory=CacheConfig, description="What is kept on disk.")
    terms_url: str | None = Field(
        default=None, description="Where the provider's terms of use are written."
    )
    caching: str | None = Field(
        default=None, description="What the terms say about keeping web tiles."
    )
    on_missing: OnMissing = Field(
        default="nodata",
        description="What to do where a web tile cannot be fetched. nodata: go on, leave a hole "
        "and list it; fail: stop.",
    )

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, content in value.items():
            if not _TOKEN.fullmatch(name) or not content.isprintable() or not content.isascii():
                raise ValueError(f"{name!r} is not a header of one line of ASCII")
        return value

    @model_validator(mode="after")
    def _check(self) -> XyzEntry:
        _check_template(self)
        for text in self.headers.values():
            for name in _REFERENCE.findall(text):
                if name not in self.env:
                    raise ValueError(f"headers: use ${{{name}}}, which env: does not list")
        lowest = self.zoom if self.zoom is not None else self.min_zoom
        if lowest < self.min_zoom:
            raise ValueError(f"zoom: {self.zoom} is below min_zoom: {self.min_zoom}")
        if self.max_zoom < lowest:
            raise ValueError(f"max_zoom: {self.max_zoom} is below zoom: or min_zoom:")
        if self.bounds is not None:
            west, south, east, north = self.bounds
            if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
                raise ValueError("bounds: are not west, south, east, north in degrees")
        return self

    @property
    def host(self) -> str:
        """Scheme, host and port that are asked, as turns are counted for; {s} as it stands."""
        address = urlsplit(self.url)
        host = _SWITCH.sub("{s}", address.netloc.rpartition("@")[2].lower())
        return f"{address.scheme}://{host.removesuffix(_PORTS.get(address.scheme, ' '))}"


def _check_template(entry: XyzEntry) -> None:
    address = urlsplit(_PLACE.sub("x", entry.url))
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError("url: is not an http or https address")
    for dollar, name in _PLACE.findall(urlsplit(entry.url).netloc.rpartition("@")[2]):
        if dollar:
            raise ValueError("url: takes no variable in the name of the host")
        if name != "s" and not name.startswith("switch:"):
            raise ValueError(f"url: takes {{s}} or {{switch:}} in the host's name, not {{{name}}}")
    found = set()
    for dollar, name in _PLACE.findall(entry.url):
        if dollar:
            if name not in entry.env:
                raise ValueError(f"url: uses ${{{name}}}, which env: does not list")
        elif name in _PLACES:
            found.add(_PLACES[name])
        elif name == "s":
            if not entry.subdomains:
                raise ValueError("url: has {s}, but there are no subdomains:")
        elif not name.startswith("switch:"):
            raise ValueError(f"url: has an unknown place {{{name}}}{_HINTS.get(name, '')}")
    if found not in ({"x", "y", "z"}, {"quadkey"}, {"bbox"}):
        raise ValueError("url: needs {z}, {x} and {y}, or {quadkey}, or {bbox}")
