"""A torchgeo dataset: the source of entries of type ``torchgeo``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS

from s2s_map.arrays import ImageBlock
from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import stated_nodata
from s2s_map.config.scale import dumped
from s2s_map.config.torchgeo import PATHS, TorchgeoEntry
from s2s_map.imagery.aligned import is_aligned, resample_aligned
from s2s_map.imagery.estimate import bytes_estimate
from s2s_map.imagery.lattice import Bounds, Lattice, PixelWindow
from s2s_map.imagery.sample import Sample, squares, thinned
from s2s_map.imagery.source import LonLatBounds, NamedParts, Source
from s2s_map.imagery.sources.raster.fingerprint import fingerprint, sampled_files
from s2s_map.imagery.sources.raster.reading import mosaic
from s2s_map.imagery.sources.torchgeo.opened import held_dataset, make_dataset, package_of
from s2s_map.imagery.warped import resample_warped
from s2s_map.opening.unchanged import FileStamp, Snapshot
from s2s_map.plugins.registry import use_package
from s2s_map.redaction import redacted

_SAMPLED, _SQUARE_PX, _TRIED_PX = 16, 128, 64


@dataclass(frozen=True)
class TorchgeoSource(Source):
    """What a dataset has, image by image of its index; the first with a valid pixel wins.

    The dataset itself is a process's own: it is made where it is read.

    Attributes:
        entry: The catalog entry.
        scenes: Its images, in the dataset's CRS and pixels.
        nodata: Value of pixels without data.
    """

    entry: TorchgeoEntry
    scenes: tuple[Scene, ...]
    nodata: float | None = None

    @classmethod
    def open(cls, entry: TorchgeoEntry) -> TorchgeoSource:
        """Import the class, and let it find its files.

        Raises:
            ImageryError: For a class that cannot be used, or finds nothing.
        """
        package = package_of(entry.dataset)
        if package is not None:
            use_package(*package)
        opened = make_dataset(entry)
        # 8 bit is warped as 8 bit, as it is of files: the datasets' values are always float32.
        scenes = opened.scenes("uint8" if entry.scale is None else "float32")
        opened.check_warped(scenes)
        nodata = opened.nodata(entry, scenes[0])
        # One small read: what does not fit is said before a run begins.
        for rows, cols in squares(scenes[0].shape, _TRIED_PX, 1):
            opened.read(scenes[0], rows, cols, entry, nodata)
        return cls(entry, scenes, nodata)

    @property
    def coverage(self) -> tuple[Scene, ...]:
        """The images of the index."""
        return self.scenes

    def _read(self, bounds: Bounds, shape: tuple[int, int], crs: CRS) -> ImageBlock:
        return mosaic(self.scenes, bounds, shape, crs, self._read_scene, [])

    def _read_scene(
        self, scene: Scene, lattice: Lattice, part: PixelWindow, crs: CRS
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        opened = held_dataset(self.entry, self.scenes)

        def fetch(rows: slice, cols: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            return opened.read(scene, rows, cols, self.entry, self.nodata)

        if is_aligned(scene, crs):
            return resample_aligned(scene, lattice, part, fetch, self.entry.scale)
        return resample_warped(scene, lattice, part, crs, fetch, self.entry.scale)

    def sample(self, area: LonLatBounds) -> Sample:
        """Return some pixels of all the images, wherever the area lies: neighbours agree."""
        opened, found = held_dataset(self.entry, self.scenes), []
        # Any scale will do: values are looked at before it.
        entry = self.entry
        for scene in self.scenes[:: math.ceil(len(self.scenes) / _SAMPLED)]:
            for rows, cols in squares(scene.shape, _SQUARE_PX, 3):
                values, known = opened.read(scene, rows, cols, entry, self.nodata)
                found.append(values[:, known])
        return Sample(thinned(np.concatenate(found, axis=1)))

    def bytes_estimate(self, bounds: Bounds, crs: CRS | str) -> int:
        """Return the bytes of the dataset's values that bounds touch."""
        return bytes_estimate(self.scenes, bounds, crs)

    def identity(self) -> dict[str, Any]:
        """Return class and arguments, names and sizes of files, settings and a hash of samples.

        Of a dataset whose index names no files, only outlines are known.

        Raises:
            ImageryError: For a file that has become unreadable.
        """
        entry, package = self.entry, package_of(self.entry.dataset)
        return {
            "dataset": entry.dataset,
            "package": None if package is None else " ".join(package),
            "arguments": {k: v for k, v in entry.arguments.items() if k not in PATHS},
            "scenes": [_identity(scene) for scene in self.scenes],
            "sampled_sha256": self._sampled_sha256,
            "bands": list(entry.bands),
            "scale": dumped(entry.scale),
            "nodata": stated_nodata(self.nodata),
            "time": entry.time,
        }

    @property
    def named_parts(self) -> NamedParts:
        """Images by their files, and the hash of samples of all of them."""
        return NamedParts({"scenes": "file"}, frozenset({"sampled_sha256"}))

    @cached_property
    def _sampled_sha256(self) -> str:
        return fingerprint([scene for scene in self.scenes if scene.stamps])

    def snapshot(self) -> Snapshot:
        """Return stamps and samples of the files that the index names."""
        there = [scene for scene in self.scenes if scene.stamps]
        contents = sampled_files(there)
        stamps = [FileStamp.of(stamp.path) for scene in there for stamp in scene.stamps]
        return {stamp.path: (stamp, contents.get(stamp.path, "")) for stamp in stamps}

    def describe(self) -> str:
        """Return how many images there are, and of which class."""
        count = len(self.scenes)
        return f"{count} image{'s' * (count != 1)} of {self.entry.dataset}"


def _identity(scene: Scene) -> dict[str, Any]:
    path = Path(scene.uri)
    size = path.stat().st_size if scene.stamps and path.is_file() else None
    name = path.name if scene.stamps else redacted(scene.uri)
    return {
        "file": name,
        "bytes": size,
        "shape": list(scene.shape),
        "transform": list(scene.transform)[:6],
    }
