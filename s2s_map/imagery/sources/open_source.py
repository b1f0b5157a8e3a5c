"""From a catalog entry to its source."""

from __future__ import annotations

from s2s_map.config.catalog import CatalogEntry
from s2s_map.errors import CatalogError, ImageryError
from s2s_map.extras import check_extra
from s2s_map.imagery.source import Source
from s2s_map.opening.uris import is_remote


def open_source(entry: CatalogEntry) -> Source:
    """Return the source of an entry; reads headers of files at most, and searches nothing.

    Args:
        entry: The catalog entry.

    Raises:
        CatalogError: For a URI that names no file.
        ImageryError: For a file that is not as declared.

    Examples:
        >>> from s2s_map import load_catalog
        >>> open_source(load_catalog()["iguacu_landsat8"]).describe()
        '1 scene'
    """
    if is_online(entry):
        check_extra("online", "imagery from a server", error=ImageryError)
    if entry.type == "raster":
        from s2s_map.imagery.sources.raster.source import RasterSource

        return RasterSource.open(entry)
    if entry.type == "stac":
        from s2s_map.imagery.sources.stac.source import StacSource

        return StacSource(entry)
    if entry.type == "xyz":
        from s2s_map.imagery.sources.xyz.source import XyzSource

        return XyzSource(entry)
    if entry.type == "zarr":
        from s2s_map.imagery.sources.zarr.source import ZarrSource

        return ZarrSource.open(entry)
    raise CatalogError(f"no source of type {entry.type}")


def is_online(entry: CatalogEntry) -> bool:
    """Return whether the imagery of an entry comes from a server."""
    if entry.type in ("stac", "xyz"):
        return True
    uris = getattr(entry, "uri", ())
    return any(is_remote(uri) for uri in ([uris] if isinstance(uris, str) else uris))
