"""What decides the imagery that an entry of web tiles stands for, apart from who asks."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from urllib.parse import urlsplit

from s2s_map.catalog.environment import expanded
from s2s_map.config.webtiles import XyzEntry


def content_digest(entry: XyzEntry) -> str:
    """Return a hash of what decides the imagery: the whole template, headers, blank rules.

    Variables in the query and in headers count by their names: a new key is no other imagery.
    Those in the path, where a mosaic may be named, count by their values.

    Raises:
        CatalogError: If a variable in the path is not set.
    """
    said = entry.model_dump_json(include={"url", "subdomains", "headers", "tile_px", "blank"})
    return hashlib.sha256((said + path_digest(entry)).encode()).hexdigest()


def path_digest(entry: XyzEntry) -> str:
    """Return a salted one-way hash of the path with its variables put in; empty without any.

    Raises:
        CatalogError: If a variable is not set.
    """
    path = urlsplit(entry.url).path
    return _hashed(entry.url, expanded(path, entry)) if "${" in path else ""


@lru_cache(maxsize=64)
def _hashed(salt: str, text: str) -> str:
    # Slow on purpose: it is stored, and the value may be a key.
    return hashlib.scrypt(text.encode(), salt=salt.encode(), n=2**14, r=8, p=1, dklen=16).hex()
