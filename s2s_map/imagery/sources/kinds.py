"""The built-in types of source: of each its schema, and what opens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from s2s_map.config.catalog import RasterEntry, StacEntry, XyzEntry, ZarrEntry
from s2s_map.config.entry import Entry
from s2s_map.config.torchgeo import TorchgeoEntry
from s2s_map.imagery.source import Source
from s2s_map.opening.uris import is_remote
from s2s_map.plugins.registry import INTERFACE


class SourceKind(Protocol):
    """A type of source, as `s2s_map.plugins.kinds.SOURCES` holds it.

    Attributes:
        interface: Version of this protocol that it was written for, 1.
        schema: Schema of its catalog entries, a subclass of `Entry`; misspelt keys are told by it.
    """

    interface: int
    schema: type[Entry]

    def open(self, entry: Any) -> Source:
        """Return the source of an entry of that schema; reads headers at most.

        Raises:
            ImageryError: For imagery that is not as declared.
        """


@dataclass(frozen=True)
class BuiltInKind:
    """A built-in type of source, whose room is imported when one is opened.

    Attributes:
        schema: Schema of its entries.
        opener: What opens one, ``module:attribute`` below this room.
        online: Whether an entry's imagery comes from a server.
        everywhere: Whether an entry without `bounds:` covers any region.
        runs_code: Whether an entry names code, which one from the network must not.
    """

    schema: type[Entry]
    opener: str
    online: Callable[[Any], bool]
    everywhere: bool = False
    runs_code: bool = False
    interface: int = INTERFACE

    def open(self, entry: Any) -> Source:
        """Return the source of an entry."""
        module, _, attribute = self.opener.partition(":")
        found: Any = import_module(f"s2s_map.imagery.sources.{module}")
        for part in attribute.split("."):
            found = getattr(found, part)
        source: Source = found(entry)
        return source


def _has_address(entry: Any) -> bool:
    return any(map(is_remote, entry.uris))


def _always(_: Any) -> bool:
    return True


def _never(_: Any) -> bool:
    return False


RASTER = BuiltInKind(RasterEntry, "raster.source:RasterSource.open", _has_address)
STAC = BuiltInKind(StacEntry, "stac.source:StacSource", _always, everywhere=True)
XYZ = BuiltInKind(XyzEntry, "xyz.source:XyzSource.open", _always, everywhere=True)
ZARR = BuiltInKind(ZarrEntry, "zarr.source:ZarrSource.open", _has_address)
TORCHGEO = BuiltInKind(TorchgeoEntry, "torchgeo.source:TorchgeoSource.open", _never, runs_code=True)
