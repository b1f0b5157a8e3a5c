"""A source of imagery: NumPy arrays of red, green and blue, north up."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from affine import Affine
from odc.geo.crs import CRS
from pydantic import Field

from s2s_map.catalog.scene import Scene
from s2s_map.config.entry import Entry
from s2s_map.errors import ImageryError
from s2s_map.imagery.estimate import bytes_estimate
from s2s_map.imagery.mosaic import read_zones
from s2s_map.imagery.source import Source


class NpyEntry(Entry):
    """What a catalog says of such a file, beside what every entry says."""

    file: str = Field(description="A .npy file of uint8 (3, rows, columns), by the catalog file.")
    crs: str = Field(description="Its CRS, such as EPSG:32721.")
    west: float = Field(description="x of its west edge, in units of the CRS.")
    north: float = Field(description="y of its north edge, in units of the CRS.")
    pixel: float = Field(gt=0, description="Side of a pixel, in units of the CRS.")

    def anchored(self, anchor: Callable[[str], str]) -> Self:
        return self.model_copy(update={"file": anchor(self.file)})


@dataclass(frozen=True)
class NpySource(Source):
    """Holds paths and settings only: it pickles, and workers read for themselves."""

    entry: NpyEntry
    image: Scene

    @property
    def coverage(self):
        return (self.image,)

    def _read(self, bounds, shape, crs):
        # Bounds in metres of crs, and the pixels wanted; resampling is s2s-map's own.
        return read_zones([Window(self)], bounds, shape, crs)

    def bytes_estimate(self, bounds, crs):
        return bytes_estimate([self.image], bounds, crs)

    def identity(self):
        # Whatever decides the pixels: a run over other pixels is another run.
        content = hashlib.sha256(Path(self.entry.file).read_bytes()).hexdigest()
        return {"sha256": content, "transform": list(self.image.transform)[:6]}

    def describe(self):
        return "1 array"


@dataclass(frozen=True)
class Window:
    """The source as `read_zones` reads it: by windows of its own pixels, 8 bit."""

    source: NpySource

    def native_pixel(self, wanted_m):
        return self.source.entry.pixel

    def scene(self, pixel_m):
        return self.source.image

    def read(self, scene, rows, cols):
        pixels = np.load(self.source.entry.file, mmap_mode="r")[:, rows, cols]
        return pixels, pixels.any(axis=0), []  # where all three are 0 nothing was seen; no holes


class Npy:
    """What the entry point names."""

    interface = 1
    schema = NpyEntry

    def open(self, entry):
        try:
            pixels = np.load(entry.file, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise ImageryError(f"cannot read {entry.file} ({error})") from error
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or len(pixels) != 3:
            raise ImageryError(
                f"{entry.file} holds {pixels.dtype} {pixels.shape}",
                expected="uint8 (3, rows, columns)",
            )
        rows, cols = pixels.shape[1:]
        t = Affine(entry.pixel, 0.0, entry.west, 0.0, -entry.pixel, entry.north)
        bounds = (t.c, t.f + t.e * rows, t.c + t.a * cols, t.f)
        crs = CRS(entry.crs)
        image = Scene(entry.file, bounds, crs, (rows, cols), t, 3, "uint8", "all")
        return NpySource(entry, image)


NPY = Npy()
