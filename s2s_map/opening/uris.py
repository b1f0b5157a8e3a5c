"""Addresses of imagery: which there are, what GDAL calls them, and which a catalog may name."""

from __future__ import annotations

import re
from urllib.parse import urljoin

from s2s_map.errors import CatalogError
from s2s_map.redaction import redacted

SAMPLE_SCHEME = "sample:"

_VSI = {
    "http": "/vsicurl/http://",
    "https": "/vsicurl/https://",
    "s3": "/vsis3/",
    "gs": "/vsigs/",
    "az": "/vsiaz/",
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_ALLOWED = "a path, http(s)://, s3://, gs:// or az://"


def is_remote(uri: str) -> bool:
    """Return whether an address is one of the network."""
    match = _SCHEME.fullmatch(uri)
    return match is not None and match[1].lower() in _VSI


def is_web(uri: str) -> bool:
    """Return whether an address is one of HTTP."""
    return uri.lower().startswith(("http://", "https://"))


def gdal_path(uri: str) -> str:
    """Return what GDAL calls a remote file.

    Examples:
        >>> gdal_path("s3://bucket/scene.tif")
        '/vsis3/bucket/scene.tif'
    """
    match = _SCHEME.fullmatch(uri)
    if match is None or match[1].lower() not in _VSI:
        raise CatalogError(f"the address {redacted(uri)}", expected=_ALLOWED)
    return _VSI[match[1].lower()] + match[2]


def check_uri(uri: str) -> None:
    """Check that an address is a plain path or one of the network.

    Raises:
        CatalogError: For GDAL's virtual paths and connection strings, file:// and other schemes.
    """
    match = _SCHEME.fullmatch(uri)
    virtual = uri.startswith("/vsi") or re.match(r"[A-Za-z][A-Za-z0-9_]+:[^/\\]", uri)
    if uri.startswith(SAMPLE_SCHEME):
        return
    if (match and match[1].lower() not in _VSI) or (virtual and match is None):
        raise CatalogError(f"the address {redacted(uri)}", expected=f"{_ALLOWED} or sample:NAME")


def from_remote_catalog(uri: str, catalog_url: str) -> str:
    """Return an address as a catalog that was fetched means it.

    Raises:
        CatalogError: For one that leads to this machine's files.
    """
    check_uri(uri)
    if uri.startswith(SAMPLE_SCHEME) or is_remote(uri):
        return uri
    if uri.startswith(("/", "~", "\\")):
        raise CatalogError(
            f"the catalog {redacted(catalog_url)} names the local path {uri}",
            expected="addresses of the network, or relative to the catalog",
            remedy="copy the entry into a catalog file of your own if you trust it",
        )
    return urljoin(catalog_url, uri)
