"""The route to each address of imagery: its own host, and where that may lead."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from threading import Lock
from urllib.parse import urlsplit

from s2s_map.opening.redirects import Host, Route
from s2s_map.opening.uris import is_web

_MACHINES = (
    Host("169.254.169.254", 80),
    Host("169.254.170.2", 80),
    Host("169.254.170.23", 80),
    Host("metadata.google.internal", 80),
)
"""Where machines of a cloud are given credentials."""

_CLOUDS: Mapping[str, tuple[Host, tuple[str, ...]]] = {
    "s3": (Host("s3.amazonaws.com", 443), (".amazonaws.com", ".amazonaws.com.cn")),
    "gs": (Host("storage.googleapis.com", 443), (".googleapis.com",)),
    "az": (
        Host("blob.core.windows.net", 443),
        (".core.windows.net", "login.microsoftonline.com"),
    ),
}
_ENDPOINTS = {
    "s3": ("AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "gs": ("CPL_GS_ENDPOINT",),
    "az": ("AZURE_STORAGE_BLOB_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
# With one of these no machine is asked for credentials.
_KEYS = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_NO_SIGN_REQUEST"),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "GS_ACCESS_KEY_ID", "GS_NO_SIGN_REQUEST"),
    "az": (
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_CONNECTION_STRING",
        "AZURE_NO_SIGN_REQUEST",
    ),
}

_permitted: dict[str, tuple[str, ...]] = {}
_lock = Lock()


def permit(uris: Iterable[str], hosts: tuple[str, ...]) -> None:
    """Let servers of addresses redirect to other hosts, in this process."""
    with _lock:
        for uri in uris:
            if hosts or uri in _permitted:
                _permitted[uri] = hosts


def route_to(uri: str, named_by: str | None = None, others: tuple[str, ...] = ()) -> Route:
    """Return the route to an address of the network.

    Args:
        uri: http(s)://, s3://, gs:// or az://.
        named_by: Address of the server that named it, if that was not the user.
        others: Hosts it may redirect to, besides those that `permit` was given.
    """
    others = (*_permitted.get(uri, ()), *others)
    naming = None if named_by is None else Host.of(named_by)
    if is_web(uri):
        return Route(Host.of(uri), others, naming)
    scheme, _, rest = uri.partition("://")
    origin, cloud = _CLOUDS[scheme.lower()]
    endpoint = _endpoint(scheme.lower())
    trusted: tuple[Host, ...] = ()
    if endpoint is not None:
        bucket = rest.partition("/")[0]
        origin, others = endpoint, (*others, f"{bucket}.{endpoint.name}:{endpoint.port}")
        trusted = (endpoint,)
    else:
        others = (*others, *cloud)
    if not any(os.environ.get(name) for name in _KEYS[scheme.lower()]):
        trusted = (*trusted, *_MACHINES)
        others = (*others, *cloud)
    return Route(origin, others, naming, trusted)


def host_of(uri: str) -> str:
    """Return what is distinguished as a host that may be away: a web server, or a bucket.

    Args:
        uri: http(s)://, s3://, gs:// or az://.
    """
    if is_web(uri):
        return str(Host.of(uri))
    scheme, _, rest = uri.partition("://")
    return f"{scheme.lower()}://{rest.partition('/')[0]}"


def _endpoint(scheme: str) -> Host | None:
    given = next((os.environ[n] for n in _ENDPOINTS[scheme] if os.environ.get(n)), None)
    if given is None and scheme == "az":
        parts = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";")
        found = [p.partition("=")[2] for p in parts if p.startswith("BlobEndpoint=")]
        given = found[0] if found else None
    if given is None:
        return None
    plain = os.environ.get("AWS_HTTPS", "YES").upper() in ("NO", "FALSE", "OFF")
    address = given if "://" in given else f"{'http' if plain else 'https'}://{given}"
    try:
        return Host.of(address) if urlsplit(address).hostname else None
    except ValueError:
        return None
