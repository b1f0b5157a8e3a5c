"""Putting images of several CRSs, each read window by window, onto one lattice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS

from s2s_map.arrays import Hole, ImageBlock
from s2s_map.catalog.scene import Scene
from s2s_map.imagery.aligned import is_aligned, resample_aligned
from s2s_map.imagery.lattice import Bounds, Lattice, PixelWindow, squares_of
from s2s_map.imagery.warped import resample_warped

_PART_PX = 2048


class Zone(Protocol):
    """Imagery of one CRS that is 8 bit already and is read by windows of its own pixels."""

    def native_pixel(self, wanted_m: float) -> float:
        """Return the source pixel to read for pixels of a size in metres."""

    def scene(self, pixel_m: float) -> Scene:
        """Return all of it as one image."""

    def read(
        self, scene: Scene, rows: slice, cols: slice
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[Hole]]:
        """Read a window of that image."""


def read_zones(
    zones: Sequence[Zone], bounds: Bounds, shape: tuple[int, int], crs: CRS
) -> ImageBlock:
    """Read a rectangle from zones: those in the CRS wanted first, then in their order.

    Large rectangles are read in parts, on the lattice, so that memory stays bounded and a pixel
    gets the same value whichever rectangle it is read with.

    Args:
        zones: Where to read.
        bounds: (minx, miny, maxx, maxy) in metres of `crs`.
        shape: Pixels to return, rows and columns.
        crs: Projected CRS in metres.
    """
    lattice, window = Lattice.of(bounds, shape)
    pixels = np.zeros((3, *shape), dtype=np.uint8)
    valid = np.zeros(shape, dtype=np.bool_)
    holes: dict[Hole, None] = {}
    pixel = float(lattice.pixel_m)
    scenes = [(zone, zone.scene(zone.native_pixel(pixel))) for zone in zones]
    scenes.sort(key=lambda pair: not is_aligned(pair[1], crs))
    for _, part in squares_of(window, _PART_PX):
        inside = part.slices_in(window)
        for zone, scene in scenes:
            known = valid[inside]
            if known.all():
                break
            values, seen, missing = _read_zone(zone, scene, lattice, part, crs)
            new = seen & ~known
            pixels[:, inside[0], inside[1]][:, new] = values[:, new]
            valid[inside] = known | new
            holes.update(dict.fromkeys(missing))
    return ImageBlock(pixels, valid, tuple(holes))


def _read_zone(
    zone: Zone, scene: Scene, lattice: Lattice, window: PixelWindow, crs: CRS
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[Hole]]:
    holes: list[Hole] = []

    def fetch(rows: slice, cols: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        values, seen, missing = zone.read(scene, rows, cols)
        holes.extend(missing)
        return values.astype(np.float32), seen

    if is_aligned(scene, crs):
        pixels, valid = resample_aligned(scene, lattice, window, fetch, None)
        return pixels, valid, holes
    pixels, valid = resample_warped(scene, lattice, window, crs, fetch, None)
    return pixels, valid, holes
