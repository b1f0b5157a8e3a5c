"""Cubes of imagery in Zarr stores: the source of entries of type ``zarr``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from odc.geo.crs import CRS
from shapely.geometry.base import BaseGeometry

from s2s_map.arrays import Hole, ImageBlock
from s2s_map.catalog.cube import Cube, at_times, inspect_cube
from s2s_map.catalog.environment import expanded
from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import stated_nodata
from s2s_map.config.cube import LATEST, ZarrEntry
from s2s_map.config.scale import dumped
from s2s_map.errors import ImageryError
from s2s_map.imagery.estimate import bytes_estimate
from s2s_map.imagery.lattice import Bounds
from s2s_map.imagery.mosaic import read_zones
from s2s_map.imagery.sample import Sample, squares, thinned
from s2s_map.imagery.source import LonLatBounds, NamedParts, Source
from s2s_map.imagery.sources.zarr.zone import CubeZone
from s2s_map.imagery.watching import Watch
from s2s_map.opening.routes import permit
from s2s_map.opening.unchanged import Snapshot, folder_stamp
from s2s_map.opening.uris import check_uri, is_remote
from s2s_map.opening.zarr_group import zarr_errors
from s2s_map.redaction import redacted

SCHEMA = 1
_RECORD = "s2s_map:times"
# Stores of which a sample is taken at most, and the squares read.
_SAMPLED, _SQUARE_PX = 16, 128


@dataclass(frozen=True)
class ZarrSource(Source):
    """Cubes of imagery; where they overlap the first with a valid pixel wins.

    Attributes:
        entry: The catalog entry, with the time that was chosen.
        cubes: Its stores, in mosaic order.
        missing: Stores that do not open, where the entry says to go on without.
        asks_latest: Whether the entry said `time: latest`.
        is_frozen: Whether which time that is has been decided for good.
    """

    entry: ZarrEntry
    cubes: tuple[Cube, ...]
    missing: tuple[Hole, ...] = ()
    asks_latest: bool = False
    is_frozen: bool = False

    @classmethod
    def open(cls, entry: ZarrEntry) -> ZarrSource:
        """Read the headers of an entry's stores.

        Raises:
            CatalogError: For an address of another kind.
            ImageryError: For a store that is not as declared.
        """
        cubes: list[Cube] = []
        missing: list[Hole] = []
        for named in entry.uris:
            uri = expanded(named, entry) if is_remote(named) else named
            check_uri(uri)
            permit((uri,), entry.redirects_to)
            try:
                cubes.append(inspect_cube(uri, entry))
            except ImageryError as error:
                if entry.on_missing == "fail" or len(entry.uris) == 1:
                    raise
                missing.append(Hole(error.found, redacted(uri)))
        if not cubes:
            raise ImageryError(
                f"none of the {len(missing)} stores of {entry.title} opens: {missing[0].reason}",
                remedy="check the entry's uri:",
            )
        return cls(_at_time_of(entry, cubes), tuple(cubes), tuple(missing), entry.time == LATEST)

    @property
    def coverage(self) -> tuple[Scene, ...]:
        """The cubes as images."""
        return tuple(cube.scene for cube in self.cubes)

    def _read(self, bounds: Bounds, shape: tuple[int, int], crs: CRS) -> ImageBlock:
        permit((cube.uri for cube in self.cubes), self.entry.redirects_to)
        block = read_zones([CubeZone(cube, self.entry) for cube in self.cubes], bounds, shape, crs)
        if not self.missing or block.valid.all():
            return block
        # They may have filled what is not seen here.
        return replace(block, holes=(*self.missing, *block.holes))

    def sample(self, area: LonLatBounds) -> Sample:
        """Return some pixels of all the stores, wherever the area lies: neighbours agree."""
        found = []
        for cube in self.cubes[:: math.ceil(len(self.cubes) / _SAMPLED)]:
            zone = CubeZone(cube, self.entry)
            for rows, cols in squares(cube.scene.shape, _SQUARE_PX, 3):
                with zarr_errors(cube.uri):
                    values, known = zone.values(rows, cols)
                found.append(values[:, known])
        return Sample(thinned(np.concatenate(found, axis=1)))

    def bytes_estimate(self, bounds: Bounds, crs: CRS | str) -> int:
        """Return the uncompressed bytes of source pixels that bounds touch, of all times."""
        return sum(
            bytes_estimate([cube.scene], bounds, crs) * max(1, len(cube.steps))
            for cube in self.cubes
        )

    def identity(self) -> dict[str, Any]:
        """Return names, metadata, times and settings: hashing the pixels would take hours."""
        entry = self.entry
        return {
            "cubes": [_cube_identity(cube) for cube in self.cubes],
            "scale": dumped(entry.scale),
            "nodata": stated_nodata(entry.nodata),
            "clear": list(entry.clear),
            **({"missing": [hole.uri for hole in self.missing]} if self.missing else {}),
        }

    def snapshot(self) -> Snapshot:
        """Return what changes when a file of a local store does; remote ones are not known."""
        return {
            cube.uri: (None, folder_stamp(Path(cube.uri)))
            for cube in self.cubes
            if not is_remote(cube.uri)
        }

    @property
    def named_parts(self) -> NamedParts:
        """Cubes by their stores."""
        return NamedParts({"cubes": "store"}, frozenset({"missing"}))

    def describe(self) -> str:
        """Return how many stores there are, and of which time."""
        count = len(self.cubes)
        times = sorted({time for cube in self.cubes for time in cube.times})
        steps = max(len(cube.steps) for cube in self.cubes)
        what = f"{count} cube{'s' * (count != 1)}"
        if self.entry.clear and any(c.is_eopf and not c.has_classes for c in self.cubes):
            what += " (no scene classification: clouds count as seen)"
        if not times:
            return what
        span = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"
        return f"{what}, median of {steps} times, {span}" if steps > 1 else f"{what}, {span}"

    @property
    def needs_freezing(self) -> bool:
        """Whether which time is the latest is still to be decided for good."""
        return self.asks_latest and not self.is_frozen

    def freeze(
        self, area: LonLatBounds, outline: BaseGeometry | None = None, watch: Watch | None = None
    ) -> ZarrSource:
        """Keep to the times that are the latest now."""
        return replace(self, is_frozen=True)

    def frozen(self) -> dict[str, Any] | None:
        """Return which times were the latest."""
        if not (self.asks_latest and self.is_frozen):
            return None
        return {
            _RECORD: {
                "schema": SCHEMA,
                "stores": [redacted(cube.uri) for cube in self.cubes],
                "times": [list(cube.times) for cube in self.cubes],
            }
        }

    def thaw(self, record: Mapping[str, Any], area: LonLatBounds) -> ZarrSource | None:
        """Return the source at the times that were the latest; None if they are gone."""
        kept = record.get(_RECORD)
        if not isinstance(kept, Mapping) or kept.get("schema") != SCHEMA:
            return None
        times = kept.get("times")
        if kept.get("stores") != [redacted(cube.uri) for cube in self.cubes]:
            return None
        if not isinstance(times, list) or len(times) != len(self.cubes):
            return None
        cubes = [at_times(cube, then) for cube, then in zip(self.cubes, times, strict=True)]
        there = [cube for cube in cubes if cube is not None]
        if len(there) < len(cubes):
            return None
        entry = _at_time_of(self.entry, there)
        return replace(self, entry=entry, cubes=tuple(there), is_frozen=True)


def _at_time_of(entry: ZarrEntry, cubes: Sequence[Cube]) -> ZarrEntry:
    times = sorted(time for cube in cubes for time in cube.times)
    if not times:
        return entry
    span = times[0] if times[0] == times[-1] else f"{times[0]}/{times[-1]}"
    return entry.model_copy(update={"time": span})


def _cube_identity(cube: Cube) -> dict[str, Any]:
    name = redacted(cube.uri) if is_remote(cube.uri) else Path(cube.uri).name
    return {
        "store": name,
        "group": cube.group,
        "variables": list(cube.variables),
        "indices": list(cube.indices),
        "times": list(cube.times),
        "crs": str(cube.scene.crs),
        "transform": list(cube.scene.transform)[:6],
        "shape": list(cube.scene.shape),
        "metadata_sha256": cube.metadata_sha256,
    }
