"""Opening raster files with GDAL, here or over the network, kept to the usual image formats."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.session import DummySession

from s2s_map.errors import CatalogError, ImageryError
from s2s_map.opening.away_hosts import away_hosts
from s2s_map.opening.egress import egress, refused
from s2s_map.opening.redirects import Route
from s2s_map.opening.routes import host_of, route_to
from s2s_map.opening.signs import waits
from s2s_map.opening.uris import gdal_path, is_remote
from s2s_map.opening.vrt import check_vrt, is_vrt
from s2s_map.redaction import redacted

DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG", "HFA")
"""GDAL drivers imagery may use: none that runs code or follows references to other places."""

REMOTE_DRIVERS = tuple(name for name in DRIVERS if name != "HFA")
"""Those for files that others serve: HFA keeps its pixels in a second file, which it names."""

CACHE_BYTES = 64_000_000
"""GDAL's cache of decoded blocks, which else grows with the machine's memory. In bytes: rasterio
sets it by GDALSetCacheMax, which does not take small numbers for megabytes."""

_KEPT_BACK = re.compile(r"(?i)\s*(authorization|cookie)\s*:")

_GDAL_OPTIONS: dict[str, Any] = {
    # Folders of thousands of scenes are not listed on every opening; side files (.ovr, .msk) of
    # local files are still found by name.
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
    "GDAL_CACHEMAX": CACHE_BYTES,
    "GDAL_PAM_ENABLED": False,
}


@contextmanager
def gdal_environment() -> Iterator[None]:
    """Set GDAL up for reading imagery while in the context, in this thread."""
    # Files of this machine need no session of AWS, which rasterio else makes each time.
    with rasterio.Env(session=DummySession(), **_GDAL_OPTIONS):
        yield


_REMOTE_OPTIONS: dict[str, Any] = {
    # No listing of the bucket or folder beside a file.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_HTTP_VERSION": "2",
    "VSI_CACHE": True,
    "VSI_CACHE_SIZE": 16_000_000,
    # One GET opens most COGs.
    "GDAL_INGESTED_BYTES_AT_OPEN": 32_768,
    "CPL_VSIL_CURL_USE_HEAD": False,
    "GDAL_PAM_ENABLED": False,
}


@contextmanager
def remote_environment(route: Route | None = None) -> Iterator[None]:
    """Set GDAL up for reading over the network while in the context, in this thread.

    GDAL follows redirects; it gets no further than the route allows, see `catalog.egress`.

    Credentials are GDAL's business: it takes them from the environment
    (AWS_ACCESS_KEY_ID, AZURE_STORAGE_SAS_TOKEN, GOOGLE_APPLICATION_CREDENTIALS, ...).
    """
    options, others = dict(_REMOTE_OPTIONS), dict[str, str]()
    for name in ("GDAL_HTTP_TIMEOUT", "GDAL_HTTP_CONNECTTIMEOUT", "GDAL_HTTP_MAX_RETRY"):
        options[name] = math.ceil(waits(name))
    options["GDAL_HTTP_RETRY_DELAY"] = waits("GDAL_HTTP_RETRY_DELAY")
    if route is not None:
        proxy = egress().proxy(route)
        options |= {"GDAL_HTTP_PROXY": proxy, "GDAL_HTTPS_PROXY": proxy}
        headers = os.environ.get("GDAL_HTTP_HEADERS")
        if headers and route.others:
            # libcurl keeps these back from another host, and no others.
            kept = [h for h in re.split(r"[\r\n,]+", headers) if _KEPT_BACK.match(h)]
            others["GDAL_HTTP_HEADERS"] = ",".join(kept)
    # Within the other: what the outermost finds in the environment, it sets for good at its end.
    with rasterio.Env(**options), rasterio.Env(**others) if others else nullcontext():
        yield


@contextmanager
def open_raster(uri: str) -> Iterator[DatasetReader]:
    """Open a raster file for reading.

    Args:
        uri: Path of a local file, or http(s)://, s3://, gs://, az://. GDAL's virtual paths are
            refused; a VRT may name image files alone.

    Raises:
        ImageryError: For a missing file, one that is not a raster of a known format, or one that
            breaks while it is read.
    """
    settings = settings_of(uri)
    with settings.environment(), open_dataset(settings) as dataset, reading(settings):
        yield dataset


@dataclass(frozen=True)
class Settings:
    """How GDAL opens a file.

    Attributes:
        path: What GDAL calls it.
        name: What people call it, without signatures.
        drivers: Formats it may be of.
        environment: Sets GDAL up while in the context.
        route: Which hosts may be asked for it; None for a local file.
        host: Which host is asked for it first, or the bucket; empty for a local file.
    """

    path: str
    name: str
    drivers: tuple[str, ...]
    environment: Callable[[], AbstractContextManager[None]]
    route: Route | None = None
    host: str = ""


def settings_of(uri: str) -> Settings:
    """Return how a file is opened.

    Raises:
        ImageryError: For a missing file, or a VRT that names anything but image files.
    """
    if is_remote(uri):
        return remote_settings(uri)
    path = Path(uri)
    if not path.is_file():
        raise no_file(uri)
    drivers: tuple[str, ...] = DRIVERS
    if is_vrt(path):
        check_vrt(path)
        drivers = ("VRT", *DRIVERS)
    return Settings(str(path.resolve()), uri, drivers, gdal_environment)


def remote_settings(
    uri: str, named_by: str | None = None, redirects_to: tuple[str, ...] = ()
) -> Settings:
    """Return how a file of the network is opened, whatever its server says that it is.

    Args:
        uri: Its address.
        named_by: Address of the server that named it, if that was not the user.
        redirects_to: Other hosts that its server may redirect to.

    Raises:
        CatalogError: For an address of another kind, such as a path of this machine.
    """
    path = gdal_path(uri)
    try:
        route = route_to(uri, named_by, redirects_to)
    except ValueError:
        raise CatalogError(f"the address {redacted(uri)}", expected="one with a host") from None
    way = partial(remote_environment, route)
    return Settings(path, redacted(uri), REMOTE_DRIVERS, way, route, host_of(uri))


def no_file(uri: str) -> ImageryError:
    """Return the error that a local file is not there."""
    return ImageryError(
        f"no file {uri}", remedy="check the entry's uri:; paths are relative to the catalog"
    )


def open_dataset(settings: Settings, overview: int | None = None) -> DatasetReader:
    """Open a file, in its environment.

    Args:
        settings: How.
        overview: Which of its overviews, the finest being 0; None for the image itself.

    Raises:
        ImageryError: For one that is not a raster of a known format, or whose overviews are
            elsewhere; for one whose host is away, at once.
    """
    level = {} if overview is None else {"overview_level": overview}
    with _asking(settings):
        try:
            # rasterio.open takes one driver only; the class takes a list.
            dataset = DatasetReader(
                settings.path, driver=list(settings.drivers), sharing=False, **level
            )
        except RasterioError as error:
            reason = _refused(settings) or _first_line(error)
            raise ImageryError(
                f"{settings.name} does not open as a raster ({reason})",
                expected="a GeoTIFF, COG, JPEG 2000 or other georeferenced image",
            ) from _cause(error)
    # GDAL would open what is named there, by any driver and wherever it is.
    elsewhere = dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE")
    if elsewhere is not None:
        dataset.close()
        raise ImageryError(
            f"{settings.name} has its overviews in another file",
            expected="overviews within it, or beside it as .ovr",
        )
    return dataset


@contextmanager
def reading(settings: Settings) -> Iterator[None]:
    """Turn what GDAL says while a file is read into an error of ours.

    Raises:
        ImageryError: For a file that breaks; for one whose host is away, at once.
    """
    with _asking(settings):
        try:
            yield
        except RasterioError as error:
            reason = _refused(settings) or _first_line(error)
            raise ImageryError(
                f"{settings.name} cannot be read ({reason})",
                remedy="check that the file is whole; fetch it again if not",
            ) from _cause(error)


def _asking(settings: Settings) -> AbstractContextManager[None]:
    route = settings.route
    if route is None:
        return nullcontext()
    return away_hosts().asking(settings.host, settings.name, lambda: egress().signs.of(route))


def _refused(settings: Settings) -> str | None:
    return None if settings.route is None else refused(settings.name, settings.route)


def _first_line(error: Exception) -> str:
    # rasterio's own text is often only "Read failed": GDAL's reason is the cause.
    reason = error.__cause__ or error
    lines = redacted(str(reason)).splitlines()
    return lines[0] if lines else type(reason).__name__


def _cause(error: Exception) -> Exception | None:
    # GDAL's own text may hold a signed address: it does not go into a traceback.
    return error if redacted(str(error)) == str(error) else None
