"""Opening groups of Zarr stores for reading, here or over the network."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from s2s_map.config.cloud import cloud_settings, s3_endpoint
from s2s_map.errors import ImageryError
from s2s_map.opening.away_hosts import away_hosts
from s2s_map.opening.egress import egress, refused
from s2s_map.opening.routes import host_of, route_to
from s2s_map.opening.signs import waits
from s2s_map.opening.uris import is_remote, is_web
from s2s_map.redaction import redacted

if TYPE_CHECKING:
    import xarray as xr
    import zarr

_NOT_FOUND = "check the entry's uri:; a store holds zarr.json, or .zgroup"


def open_group(uri: str, path: str = "", *, anew: bool = False) -> zarr.Group:
    """Return a group of a store, opened for reading; kept by this process.

    Credentials, region and endpoint are those of the environment. Consolidated metadata is read
    from the root, once for all groups.

    Args:
        uri: Path of the store, or http(s)://, s3://, gs://, az://.
        path: Group within the store; "" for the root.
        anew: Read the metadata again, it may have changed.

    Raises:
        ImageryError: For what is not there, not a store, or has no such group.
    """
    import zarr

    root = _held(uri, anew).root
    if not path:
        return root
    with zarr_errors(uri):
        found = root.get(path)
    if not isinstance(found, zarr.Group):
        raise ImageryError(
            f"{redacted(uri)} has no group {path}",
            expected=f"one of {', '.join(sorted(group_names(root))) or 'none: it is flat'}",
            remedy="correct group: in the entry",
        )
    return found


def open_dataset(uri: str, path: str) -> xr.Dataset:
    """Return a group of a store as xarray opens it: lazily, values decoded; kept by this process.

    Raises:
        ImageryError: For what cannot be opened.
    """
    import xarray as xr
    from xarray.backends import ZarrStore

    held = _held(uri, anew=False)
    if path not in held.datasets:
        group = open_group(uri, path)
        with zarr_errors(uri), warnings.catch_warnings():
            # A grid mapping that is named and not there: said as an error where a CRS is needed.
            warnings.simplefilter("ignore")
            # As xarray does by itself; in version 3 coordinates of 0 would go missing.
            masks = group.metadata.zarr_format == 2
            store = ZarrStore(group, mode="r", use_zarr_fill_value_as_mask=masks)
            held.datasets[path] = xr.open_dataset(
                store, engine="store", decode_coords="all", cache=False
            )
    return held.datasets[path]


def group_names(root: zarr.Group) -> list[str]:
    """Return the paths of the groups that hold arrays; nothing where they cannot be listed."""
    import zarr

    try:
        members = list(root.members(max_depth=None))
    except Exception:
        return []
    return sorted({n.rpartition("/")[0] for n, m in members if isinstance(m, zarr.Array)} - {""})


@contextmanager
def zarr_errors(uri: str) -> Iterator[None]:
    """Turn what stores and codecs raise into one line.

    Raises:
        ImageryError: For anything that goes wrong but what is an error of ours already; for a store
            whose host is away, at once.
    """
    with asking(uri):
        try:
            yield
        except (ImageryError, MemoryError):
            raise
        except Exception as error:
            reason = refused(redacted(uri), route_to(uri)) if is_remote(uri) else None
            # Not chained: clients of object stores quote requests, and with them keys.
            raise ImageryError(
                f"{redacted(uri)} cannot be read ({reason or _reason(error)})",
                remedy="check that the store is whole, and the network",
            ) from None


def asking(uri: str) -> AbstractContextManager[None]:
    """Ask a server while in the context: one that is away is not waited for, see ADR 99.

    Raises:
        ImageryError: At once, for a host that is away.
    """
    if not is_remote(uri):
        return nullcontext()
    route = route_to(uri)
    return away_hosts().asking(host_of(uri), redacted(uri), lambda: egress().signs.of(route))


@dataclass(frozen=True, eq=False)
class _Held:
    """A store that this process has open."""

    root: zarr.Group
    datasets: dict[str, xr.Dataset] = field(default_factory=dict)


_open: dict[tuple[object, ...], _Held] = {}
_lock = Lock()


def _held(uri: str, anew: bool) -> _Held:
    settings = cloud_settings()
    key = (uri, settings, os.getpid(), route_to(uri) if is_remote(uri) else None)
    with _lock:
        if anew or key not in _open:
            _open[key] = _Held(_root(uri, dict(settings)))
        return _open[key]


def _root(uri: str, settings: dict[str, str]) -> zarr.Group:
    import zarr
    from zarr.errors import GroupNotFoundError

    with zarr_errors(uri):
        store = _store(uri, settings)
        try:
            return zarr.open_group(store, mode="r")
        except (GroupNotFoundError, FileNotFoundError):
            raise ImageryError(f"no Zarr store at {redacted(uri)}", remedy=_NOT_FOUND) from None


def _store(uri: str, settings: dict[str, str]) -> Any:
    if not is_remote(uri):
        if not Path(uri).is_dir():
            raise ImageryError(f"no Zarr store at {uri}", remedy=_NOT_FOUND)
        return uri
    from zarr.storage import ObjectStore

    return ObjectStore(object_client(uri, settings), read_only=True)


def object_client(uri: str, settings: dict[str, str]) -> Any:
    """Return obstore's client for reading below an address.

    Args:
        uri: http(s)://, s3://, gs:// or az://.
        settings: Of the environment, see `cloud_settings`.
    """
    from obstore.store import from_url

    options: dict[str, Any] = {}
    endpoint = s3_endpoint(settings)
    if uri.startswith("s3://"):
        if endpoint:
            options["endpoint"] = endpoint
        # GDAL's name for it, which `raster` entries know.
        if settings.get("AWS_NO_SIGN_REQUEST", "").upper() in ("YES", "TRUE", "1"):
            options["skip_signature"] = True
    whole = waits("GDAL_HTTP_TIMEOUT")
    plain = is_web(uri) or bool(options.get("endpoint"))
    return from_url(
        uri,
        client_options={
            # An endpoint named as plain http is meant so.
            "proxy_url": egress().proxy(route_to(uri)),
            "allow_http": plain and not str(options.get("endpoint", uri)).startswith("https"),
            "connect_timeout": timedelta(seconds=waits("GDAL_HTTP_CONNECTTIMEOUT")),
            "timeout": timedelta(seconds=whole),
        },
        retry_config={
            "max_retries": round(waits("GDAL_HTTP_MAX_RETRY")),
            "retry_timeout": timedelta(seconds=4.0 * whole),
        },
        **options,
    )


def _reason(error: Exception) -> str:
    text = redacted(str(error))
    if "169.254.169.254" in text:
        return "no credentials in the environment"
    for line in text.splitlines():
        if line.strip():
            return line.strip()[:200]
    return type(error).__name__
