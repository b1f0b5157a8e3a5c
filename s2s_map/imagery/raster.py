"""Raster files, mosaicked: the source of entries of type ``raster``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odc.geo.crs import CRS

from s2s_map.arrays import ImageBlock
from s2s_map.catalog.catalog import scenes
from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.imagery.estimate import bytes_estimate
from s2s_map.imagery.lattice import Bounds
from s2s_map.imagery.read import read_block
from s2s_map.imagery.source import Source


@dataclass(frozen=True)
class RasterSource(Source):
    """Scenes that GDAL reads; where they overlap the first with a valid pixel wins.

    Attributes:
        entry: The catalog entry.
        scenes: Its scenes, in mosaic order.
    """

    entry: RasterEntry
    scenes: tuple[Scene, ...]

    @classmethod
    def open(cls, entry: RasterEntry) -> RasterSource:
        """Read the headers of an entry's files.

        Raises:
            CatalogError: For a URI that names no file.
            ImageryError: For a file that is not as declared.
        """
        return cls(entry, tuple(scenes(entry)))

    @property
    def coverage(self) -> tuple[Scene, ...]:
        """The scenes."""
        return self.scenes

    def _read(self, bounds: Bounds, shape: tuple[int, int], crs: CRS) -> ImageBlock:
        return read_block(self.scenes, bounds, shape, crs, self.entry)

    def bytes_estimate(self, bounds: Bounds, crs: CRS | str) -> int:
        """Return the uncompressed bytes of source pixels that bounds touch."""
        return bytes_estimate(self.scenes, bounds, crs)

    def identity(self) -> dict[str, Any]:
        """Return names, sizes and settings: hashing a country's imagery would take hours."""
        entry = self.entry
        return {
            "scenes": [_scene_identity(scene) for scene in self.scenes],
            "bands": list(entry.bands),
            "scale": None if entry.scale is None else entry.scale.model_dump(),
            "nodata": entry.nodata,
        }

    def describe(self) -> str:
        """Return how many scenes there are."""
        return f"{len(self.scenes)} scene{'s' * (len(self.scenes) != 1)}"


def _scene_identity(scene: Scene) -> dict[str, Any]:
    path = Path(scene.uri)
    return {"file": path.name, "bytes": path.stat().st_size, "shape": list(scene.shape)}
