"""From a catalog entry to its source."""

from __future__ import annotations

from s2s_map.config.catalog import CatalogEntry
from s2s_map.errors import ImageryError, PluginError
from s2s_map.extras import check_extra
from s2s_map.imagery.source import Source
from s2s_map.plugins.kinds import SOURCES


def open_source(entry: CatalogEntry) -> Source:
    """Return the source of an entry; reads headers of files at most, and searches nothing.

    Args:
        entry: The catalog entry, as its type's own schema has it.

    Raises:
        CatalogError: For a URI that names no file.
        ImageryError: For a file that is not as declared.
        PluginError: For a type of a package that cannot be used.

    Examples:
        >>> from s2s_map import load_catalog
        >>> open_source(load_catalog()["iguacu_landsat8"]).describe()
        '1 scene'
    """
    kind = SOURCES.get(entry.type)
    if is_online(entry) and entry.type in SOURCES.built_in:
        check_extra("online", "imagery from a server", error=ImageryError)
    source = kind.open(entry)
    if not isinstance(source, Source):
        raise PluginError(
            f"type: {entry.type} opens {entry.title} as a {type(source).__name__}",
            expected="an s2s_map.imagery.source.Source",
            remedy="see docs/adding.md",
        )
    return source


def is_online(entry: CatalogEntry) -> bool:
    """Return whether the imagery of an entry comes from a server, as far as its type says."""
    online = getattr(SOURCES.get(entry.type), "online", None)
    return online is not None and bool(online(entry))


def covers_any(entry: CatalogEntry) -> bool:
    """Return whether an entry has imagery of any region: a search, or web tiles without bounds.

    Of a type of a package it is not asked: nothing is imported to compare a catalog.
    """
    everywhere = entry.type in SOURCES.built_in and SOURCES.get(entry.type).everywhere
    return everywhere and not getattr(entry, "bounds", None)
