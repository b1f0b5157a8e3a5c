"""A source of imagery: what the tiling asks for one block at a time, whatever lies behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import shapely
from odc.geo.crs import CRS
from shapely.geometry.base import BaseGeometry

from s2s_map.arrays import ImageBlock
from s2s_map.config.entry import Entry
from s2s_map.config.scale import MeasuredScale, Scale, is_measured
from s2s_map.config.seen import SeenImagery
from s2s_map.errors import ImageryError
from s2s_map.imagery.colours import measured_scale
from s2s_map.imagery.lattice import Bounds
from s2s_map.imagery.requests import Requests
from s2s_map.imagery.sample import Sample, thinned
from s2s_map.imagery.watching import Watch
from s2s_map.opening.unchanged import Snapshot
from s2s_map.regions.coverage import Covers
from s2s_map.regions.projections import LONLAT, project

LonLatBounds = tuple[float, float, float, float]

_SQUARE_PX = 128

type Read = tuple[Bounds, tuple[int, int]]
"""Bounds in metres, and pixels in rows and columns, of a rectangle to read."""


@dataclass(frozen=True)
class NamedParts:
    """Which parts of a source's identity are of files, and which of a search.

    `--retry-holes` takes back blocks with holes, and lets these parts be others where holes were.

    Attributes:
        files: Lists of files in the identity, and the key that names each.
        of_all_files: Keys that follow from all files together, such as a hash.
        searched: Keys that say what a search found.
        unanswered: Key that says what of the search was not answered; empty: it always is.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    of_all_files: frozenset[str] = frozenset()
    searched: frozenset[str] = frozenset()
    unanswered: str = ""


class Source(ABC):
    """The imagery of one catalog entry.

    A source holds paths and settings only, no open file and no connection: it pickles, and what it
    reads it opens where it reads, so that worker processes can be handed one.
    `imagery.dataset.ImageryDataset` wraps one as a torchgeo ``GeoDataset``.

    Attributes:
        entry: The catalog entry.
    """

    entry: Entry

    @property
    @abstractmethod
    def coverage(self) -> Sequence[Covers]:
        """Outlines of the imagery; empty where it is not known before reading, or the Earth."""

    @property
    def crs(self) -> CRS | None:
        """The CRS of all the imagery; None where there is more than one, or it is not known."""
        found = [part.crs for part in self.coverage]
        return found[0] if found and all(crs == found[0] for crs in found) else None

    def read(self, bounds: Bounds, shape: tuple[int, int], crs: CRS | str) -> ImageBlock:
        """Read a rectangle onto square pixels.

        A pixel's value depends on its place alone, not on the rectangle it is read with.

        Args:
            bounds: (minx, miny, maxx, maxy) in metres of `crs`.
            shape: Pixels to return, rows and columns; they must come out square.
            crs: Projected CRS in metres.

        Returns:
            Red, green, blue of shape (3, rows, columns), the mask of observed pixels, and what
            could not be read. Pixels that are not observed are 0.

        Raises:
            ImageryError: For imagery that cannot be read, where the entry says `on_missing: fail`;
                for what would go wrong anywhere, always.
            ValueError: For pixels that are not square.
        """
        block = self._read(bounds, shape, CRS(crs))
        if block.holes and self.entry.on_missing == "fail":
            first = block.holes[0]
            more = f" and {len(block.holes) - 1} more" if len(block.holes) > 1 else ""
            raise ImageryError(
                f"{first.uri}{more}: {first.reason}",
                remedy="fix it, or set on_missing: nodata to go on with holes",
            )
        return block

    @abstractmethod
    def _read(self, bounds: Bounds, shape: tuple[int, int], crs: CRS) -> ImageBlock:
        """Read a rectangle; what cannot be read is a hole."""

    @abstractmethod
    def bytes_estimate(self, bounds: Bounds, crs: CRS | str) -> int:
        """Return the uncompressed bytes to read for bounds in metres of a CRS, roughly."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what decides the pixels, as JSON: part of the identity of a run's embeddings."""

    @abstractmethod
    def describe(self) -> str:
        """Return in a few words what there is, such as "50 scenes"."""

    @property
    def example(self) -> tuple[float, float] | None:
        """Longitude and latitude where there is imagery, if that is not all over the Earth."""
        return None

    def over(self, area: LonLatBounds) -> Source:
        """Return the source as it is read for an area: what follows from the place alone.

        Args:
            area: (west, south, east, north) in degrees; west > east across the antimeridian.
        """
        return self

    def requests(self, reads: Sequence[Read], crs: CRS | str) -> Requests | None:
        """Return how many requests reading takes; None for a source that is not metered.

        Args:
            reads: Bounds, (minx, miny, maxx, maxy) in metres of `crs`, and shape of each read;
                they may overlap.
            crs: Projected CRS in metres.
        """
        return None

    def sample(self, area: LonLatBounds) -> Sample:
        """Return some pixels as stored, before `scale:`; after `freeze`.

        Here: four squares of the area, as they are read for the model.

        Args:
            area: (west, south, east, north) in degrees; west > east across the antimeridian.

        Raises:
            ImageryError: For imagery that cannot be read.
        """
        west, south, east, north = area
        width = (east - west) % 360.0 or (360.0 if east > west else 0.0)
        crs = CRS.utm((west + width / 2.0 + 180.0) % 360.0 - 180.0, (south + north) / 2.0)
        pixel = self.entry.sensor.gsd_m
        half = pixel * _SQUARE_PX / 2.0
        found = []
        for i, j in ((1, 1), (1, 3), (3, 1), (3, 3)):
            lon = (west + width * j / 4.0 + 180.0) % 360.0 - 180.0
            there = project(shapely.Point(lon, south + (north - south) * i / 4.0), LONLAT, crs)
            x, y = (round(v / pixel) * pixel for v in (there.centroid.x, there.centroid.y))
            bounds = (x - half, y - half, x + half, y + half)
            block = self._read(bounds, (_SQUARE_PX, _SQUARE_PX), crs)
            found.append(block.pixels[:, block.valid].astype(np.float32))
        return Sample(thinned(np.concatenate(found, axis=1)))

    def pixel_warnings(self, area: LonLatBounds) -> tuple[str, ...]:
        """Return what does not fit between the pixels it reads and `sensor:`, a line each.

        Args:
            area: (west, south, east, north) in degrees; west > east across the antimeridian.
        """
        return ()

    @property
    def named_parts(self) -> NamedParts:
        """What of `identity` may change where holes are filled: nothing, if it does not say."""
        return NamedParts()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was found wrong with it when it was frozen, a line each."""
        return ()

    @property
    def scale(self) -> Scale | None:
        """How values become 8 bit; None for 8 bit as it is."""
        scale: Scale | None = getattr(self.entry, "scale", None)
        return scale

    @property
    def needs_measuring(self) -> bool:
        """Whether the numbers of its `scale:` are still to be measured."""
        return is_measured(self.scale)

    def measured(self, sample: Sample, seen: SeenImagery | None) -> Self:
        """Return the source with the numbers of its `scale:`, from a sample if they are missing.

        Args:
            sample: Pixels of it.
            seen: What the model saw; `match` needs it.

        Raises:
            ConfigError: For `match` without it.
            ImageryError: For too few pixels, or a band of one value.
        """
        asked = self.scale
        if not is_measured(asked):
            return self
        return self.with_scale(measured_scale(asked, sample.values, seen))

    def with_scale(self, scale: MeasuredScale) -> Self:
        """Return the source with a scale whose numbers are known."""
        entry = self.entry.model_copy(update={"scale": scale})
        return replace(self, entry=entry)  # type: ignore[type-var]

    def snapshot(self) -> Snapshot:
        """Return what its files are like now, as far as it can be known at little cost."""
        return {}

    @property
    def needs_freezing(self) -> bool:
        """Whether what it reads is still to be decided, by a search for example."""
        return False

    def freeze(
        self, area: LonLatBounds, outline: BaseGeometry | None = None, watch: Watch | None = None
    ) -> Source:
        """Return the source with what it reads over an area decided once and for all.

        Args:
            area: (west, south, east, north) in degrees; west > east across the antimeridian.
            outline: The region's own outline in degrees, where that is less than the area.
            watch: Receives how far a search is.

        Raises:
            ImageryError: If nothing is found, or the search cannot be made.
            SearchIncompleteError: If a part of the search was not answered.
        """
        return self

    @property
    def has_search_holes(self) -> bool:
        """Whether parts of its search were not answered."""
        return False

    @property
    def takes_search_holes(self) -> bool:
        """Whether its entry says to go on without what such parts hold."""
        return False

    def drop_search_parts(self) -> None:
        """Drop what is kept of a search on its way, once `frozen` is kept or not needed."""
        return

    def search_again(
        self, outline: BaseGeometry | None = None, watch: Watch | None = None
    ) -> Source:
        """Return the source with the parts of its search asked for that were not answered.

        Args:
            outline: The region's own outline in degrees, as for `freeze`.
            watch: Told how far it is.

        Raises:
            ImageryError: If the API does not answer as one.
        """
        return self

    def thaw(self, record: Mapping[str, Any], area: LonLatBounds) -> Source | None:
        """Return the source as `frozen` recorded it; None if that was another search."""
        return None

    def frozen(self) -> dict[str, Any] | None:
        """Return what was decided, as JSON for a file beside the store; None if nothing was."""
        return None
