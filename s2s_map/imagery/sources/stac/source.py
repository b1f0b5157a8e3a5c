"""Scenes of a STAC API, composited: the source of entries of type ``stac``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS
from shapely.geometry.base import BaseGeometry

from s2s_map.arrays import ImageBlock, merge_holes
from s2s_map.catalog.stac_items import Item, digest, epsg
from s2s_map.config.scale import dumped
from s2s_map.config.stac import StacEntry
from s2s_map.config.stac_profiles import DEFAULT_PROFILE
from s2s_map.imagery.lattice import Bounds
from s2s_map.imagery.mosaic import read_zones
from s2s_map.imagery.sample import Sample, squares, thinned
from s2s_map.imagery.source import LonLatBounds, NamedParts, Source
from s2s_map.imagery.sources.stac.offsets import with_offsets
from s2s_map.imagery.sources.stac.reflectance import OWN_OFFSET, QUANTIFICATION
from s2s_map.imagery.sources.stac.search.asking import SearchHole
from s2s_map.imagery.sources.stac.search.holes import holes_over, holes_record, read_holes
from s2s_map.imagery.sources.stac.search.kept import FoundParts
from s2s_map.imagery.sources.stac.search.parts import region_of
from s2s_map.imagery.sources.stac.search.walking import search, search_again
from s2s_map.imagery.sources.stac.zone import StacZone, box_of, window_of
from s2s_map.imagery.watching import Watch
from s2s_map.opening.unchanged import Snapshot, remote_states
from s2s_map.opening.uris import is_remote
from s2s_map.redaction import redacted
from s2s_map.regions.coverage import Coverage
from s2s_map.regions.projections import LONLAT, is_finite, project

SCHEMA = 1
_BYTES_PER_PIXEL = 3 * 2 + 0.25
# Pixels of a sample, in those of the bands, and along a side of its squares.
_COARSER, _SQUARE_PX = 4, 256


@dataclass(frozen=True)
class StacSource(Source):
    """The clear ground of the scenes that a search found.

    Before `freeze` it knows the search only, and can be planned with but not read.

    Attributes:
        entry: The catalog entry; once frozen, with the interval of time that was searched.
        items: The scenes, the least cloudy first; None before the search.
        area: (west, south, east, north) in degrees, where was searched.
        asked: What the entry said, for comparison with a search kept in a file.
        search_holes: Parts of the search that were not answered.
        spare: Scenes near these that may be taken once they are answered.
        parts: What is kept of the search on its way, in this process alone.
    """

    entry: StacEntry
    items: tuple[Item, ...] | None = None
    area: LonLatBounds | None = None
    asked: Mapping[str, Any] | None = None
    search_holes: tuple[SearchHole, ...] = ()
    spare: tuple[Item, ...] = ()
    parts: FoundParts | None = field(default=None, compare=False)

    @property
    def coverage(self) -> tuple[Coverage, ...]:
        """Nothing: it is not known before the search, and not needed after it."""
        return ()

    @cached_property
    def zones(self) -> tuple[StacZone, ...]:
        """The scenes by CRS, in the order of its code."""
        by_crs: dict[str, list[Item]] = {}
        for item in self.items or ():
            by_crs.setdefault(epsg(item), []).append(item)
        return tuple(StacZone.of(self.entry, code, by_crs[code]) for code in sorted(by_crs))

    def _read(self, bounds: Bounds, shape: tuple[int, int], crs: CRS) -> ImageBlock:
        if self.items is None:
            raise RuntimeError("a STAC source is read after it is frozen")
        block = read_zones(self.zones, bounds, shape, crs)
        missing = holes_over(self.search_holes, bounds, crs)
        return replace(block, holes=merge_holes([*block.holes, *missing])) if missing else block

    def snapshot(self) -> Snapshot:
        """Return what servers say of the scenes' files, unless they have to be signed."""
        if self.entry.token_url is not None:
            return {}
        red = self.entry.assets.files[0]
        states = remote_states([str(item["assets"][red]["href"]) for item in self.items or ()])
        return {uri: (None, state) for uri, state in states.items()}

    def sample(self, area: LonLatBounds) -> Sample:
        """Return reflectance, or levels, of four squares of the area in each zone, composited."""
        found = [np.zeros((3, 0), np.float32)]
        west, south, east, north = area
        # Across the antimeridian one side stands for both.
        east = east if east > west else 180.0
        for zone in self.zones:
            box = project(shapely.box(west, south, east, north), LONLAT, zone.crs)
            scene = zone.scene(self.entry.pixel_m * _COARSER)
            window = window_of(scene, box.bounds) if is_finite(box) else None
            if window is None:
                continue
            rows, cols = window
            shape = rows.stop - rows.start, cols.stop - cols.start
            for down, along in squares(shape, _SQUARE_PX, 2):
                there = (
                    slice(rows.start + down.start, rows.start + down.stop),
                    slice(cols.start + along.start, cols.start + along.stop),
                )
                numbers, seen, _ = zone.numbers(scene, *there)
                found.append(self._stored(numbers[:, seen]))
        return Sample(thinned(np.concatenate(found, axis=1)))

    def _stored(self, numbers: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Return what `scale` goes from: reflectance, or levels of 8 bit."""
        values = numbers.astype(np.float32)
        if self.entry.known.values == "levels":
            return values - np.float32(1.0)
        return values / np.float32(QUANTIFICATION)

    @property
    def example(self) -> tuple[float, float] | None:
        """Longitude and latitude of a place of the collection, if it does not show all land."""
        return self.entry.known.example

    def bytes_estimate(self, bounds: Bounds, crs: CRS | str) -> int:
        """Return the bytes of all scenes over bounds; before the search, of as many as may be."""
        wanted = project(shapely.box(*bounds), CRS(crs), LONLAT)
        if self.items is None or not is_finite(wanted):
            area = (bounds[2] - bounds[0]) * (bounds[3] - bounds[1])
            pixels = area / self.entry.pixel_m**2
            scenes = self.entry.max_per_tile * self.entry.known.orbits
            return round(pixels * _BYTES_PER_PIXEL * scenes)
        total = 0.0
        for outline in self._outlines:
            share = outline.intersection(wanted).area / wanted.area
            area = (bounds[2] - bounds[0]) * (bounds[3] - bounds[1]) * share
            total += area / self.entry.pixel_m**2 * _BYTES_PER_PIXEL
        return round(total)

    @cached_property
    def _outlines(self) -> tuple[BaseGeometry, ...]:
        outlines = (
            shapely.geometry.shape(item["geometry"]) if item.get("geometry") else box_of(item)
            for item in self.items or ()
        )
        return tuple(shapely.make_valid(outline) for outline in outlines)

    def identity(self) -> dict[str, Any]:
        """Return the hash of the scenes and what is made of them."""
        entry = self.entry
        return {
            **_request(entry),
            "items": None if self.items is None else len(self.items),
            "items_sha256": None if self.items is None else digest(self.items),
            "clear": list(entry.clear),
            "composite": entry.composite,
            "scale": dumped(entry.scale),
            "pixel_m": entry.pixel_m,
            **({"masked_bits": list(entry.masked_bits)} if entry.masked_bits else {}),
            **({"search_holes": list(map(str, self.search_holes))} if self.search_holes else {}),
        }

    @property
    def named_parts(self) -> NamedParts:
        """What the search found, and what of it was not answered."""
        found = frozenset({"items", "items_sha256"})
        return NamedParts(searched=found, unanswered="search_holes")

    def describe(self) -> str:
        """Return how many scenes there are, or will be looked for."""
        entry = self.entry
        if self.items is None:
            return (
                f"{entry.composite} of at most {entry.max_per_tile} scenes per tile and orbit, "
                f"{entry.time}, searched when the run starts"
            )
        return f"{entry.composite} of {len(self.items)} scenes, {entry.time}"

    @property
    def needs_freezing(self) -> bool:
        """Whether the search is still to be made."""
        return self.items is None

    def freeze(
        self, area: LonLatBounds, outline: BaseGeometry | None = None, watch: Watch | None = None
    ) -> StacSource:
        """Search, and keep what was found, with offsets checked against the pixels."""
        found = search(self.entry, area, outline, watch)
        frozen = self._with(found.interval, with_offsets(found.items, self.entry), area)
        return replace(frozen, search_holes=found.holes, spare=found.spare, parts=found.parts)

    def drop_search_parts(self) -> None:
        """Drop what is kept of the search on its way: its result is kept, or not needed."""
        if self.parts is not None:
            self.parts.forget()

    @property
    def has_search_holes(self) -> bool:
        """Whether parts of its search were not answered."""
        return bool(self.search_holes)

    @property
    def takes_search_holes(self) -> bool:
        """Whether its entry says to go on without the scenes of such parts."""
        return self.entry.on_missing_search == "nodata"

    def search_again(
        self, outline: BaseGeometry | None = None, watch: Watch | None = None
    ) -> StacSource:
        """Ask for the parts of the search that were not answered, and choose among all scenes."""
        if self.items is None or self.area is None or not self.search_holes:
            return self
        region, known = region_of(self.area, outline), [*self.items, *self.spare]
        found = search_again(self.entry, self.search_holes, known, region, watch)
        items = tuple(with_offsets(found.items, self.entry))
        return replace(
            self, items=items, search_holes=found.holes, spare=found.spare, parts=found.parts
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the pixels say against the metadata, and what the search did not answer."""
        said = []
        if self.search_holes:
            first = self.search_holes[0]
            count = len(self.search_holes)
            parts = "part of the search was" if count == 1 else "parts of the search were"
            said.append(
                f"{count} {parts} not answered, and scenes there are missing, such as {first}: "
                f"{first.reason}; --retry-holes asks again"
            )
        wrong = [item for item in self.items or () if OWN_OFFSET in item["properties"]]
        if wrong:
            offset = wrong[0]["properties"][OWN_OFFSET]
            said.append(
                f"the metadata of {len(wrong)} of {len(self.items or ())} scenes are wrong about "
                f"the offset of 1,000, such as {wrong[0]['id']}: by its pixels it is {offset}, "
                "which is used"
            )
        return tuple(said)

    def frozen(self) -> dict[str, Any] | None:
        """Return a STAC item collection with what was asked."""
        if self.items is None or self.area is None:
            return None
        return {
            "type": "FeatureCollection",
            "s2s_map:search": {
                "schema": SCHEMA,
                **(self.asked or _request(self.entry)),
                "interval": self.entry.time,
                "area": list(self.area),
                "items_sha256": digest(self.items),
                **holes_record(self.search_holes, self.spare),
            },
            "features": list(self.items),
        }

    def thaw(self, record: Mapping[str, Any], area: LonLatBounds) -> StacSource | None:
        """Return the source with what `frozen` kept, if that is of the same search."""
        kept, items = record.get("s2s_map:search"), record.get("features")
        if not isinstance(kept, Mapping) or not isinstance(items, list):
            return None
        asked = {"schema": SCHEMA, "profile": None, **_request(self.entry)}
        there = kept.get("area", [])
        if (
            any(kept.get(key) != value for key, value in asked.items())
            or len(there) != 4
            or not all(map(math.isclose, there, area))
            or digest(items) != kept.get("items_sha256")
        ):
            return None
        holes, spare = read_holes(kept) or (None, ())
        every = [asset for item in [*items, *spare] for asset in item["assets"].values()]
        if holes is None or not all(is_remote(str(asset["href"])) for asset in every):
            return None
        source = self._with(str(kept["interval"]), items, area)
        return replace(source, search_holes=holes, spare=spare)

    def _with(self, interval: str, items: list[Item], area: LonLatBounds) -> StacSource:
        entry = self.entry.model_copy(update={"time": interval})
        return StacSource(entry, tuple(items), area, _request(self.entry))


def _request(entry: StacEntry) -> dict[str, Any]:
    return {
        "url": redacted(entry.url),
        "collection": entry.collection,
        "time": entry.time,
        "max_cloud": entry.max_cloud,
        "max_per_tile": entry.max_per_tile,
        "assets": entry.assets.asked(),
        **({} if entry.profile == DEFAULT_PROFILE else {"profile": entry.profile}),
    }
