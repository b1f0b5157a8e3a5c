"""Reading a rectangle of imagery onto the pixel lattice of a block, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS

from s2s_map.arrays import Hole, ImageBlock
from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.aligned import is_aligned, read_aligned
from s2s_map.imagery.lattice import Bounds, Lattice, PixelWindow
from s2s_map.imagery.warped import read_warped, scene_window
from s2s_map.opening.unchanged import FileStamp, check_stamps
from s2s_map.redaction import redacted


def read_block(
    scenes: Sequence[Scene],
    bounds: Bounds,
    shape: tuple[int, int],
    crs: CRS | str,
    entry: RasterEntry,
    holes: list[Hole] | None = None,
) -> ImageBlock:
    """Read a rectangle of imagery, resampled once, warped where a scene's CRS differs.

    Resampling is cubic, antialiased, or the mean of source pixels where a pixel is at least 16
    times as large.
    Pixels without data weigh nothing. A pixel's value depends on its place alone, not on the
    rectangle it is read with. Where scenes overlap, the first with a valid pixel wins.

    Args:
        scenes: The scenes of the entry, in mosaic order.
        bounds: (minx, miny, maxx, maxy) in metres of `crs`.
        shape: Pixels to return, rows and columns; they must come out square.
        crs: Projected CRS in metres.
        entry: The catalog entry: bands, scale, nodata.
        holes: Where to note scenes that cannot be read, and go on; they are errors if None.

    Returns:
        Red, green, blue of shape (3, rows, columns) and the mask of observed pixels. Parts
        outside every scene are not observed; pixels that are not observed are 0.

    Raises:
        ImageryError: For a file that has gone, or breaks while it is read.
        ImageryChangedError: For one that is another than when its header was read.
        ValueError: For pixels that are not square.
    """

    def read(
        scene: Scene, lattice: Lattice, part: PixelWindow, target: CRS
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        if is_aligned(scene, target):
            return read_aligned(scene, lattice, part, entry)
        return read_warped(scene, lattice, part, target, entry)

    return mosaic(scenes, bounds, shape, crs, read, holes)


type ReadScene = Callable[
    [Scene, Lattice, PixelWindow, CRS], tuple[NDArray[np.uint8], NDArray[np.bool_]]
]
"""Reads a window of the lattice from a scene: pixels (3, rows, columns), and where they are."""


def mosaic(
    scenes: Sequence[Scene],
    bounds: Bounds,
    shape: tuple[int, int],
    crs: CRS | str,
    read: ReadScene,
    holes: list[Hole] | None = None,
) -> ImageBlock:
    """Read a rectangle from scenes: where they overlap, the first with a valid pixel wins.

    Args:
        scenes: In mosaic order.
        bounds: (minx, miny, maxx, maxy) in metres of `crs`.
        shape: Pixels to return, rows and columns; they must come out square.
        crs: Projected CRS in metres.
        read: Reads a scene.
        holes: As of `read_block`.

    Raises:
        ImageryError: As `read_block`.
        ImageryChangedError: As `read_block`.
        ValueError: For pixels that are not square.
    """
    lattice, window = Lattice.of(bounds, shape)
    target = CRS(crs)
    pixels = np.zeros((3, *shape), dtype=np.uint8)
    valid = np.zeros(shape, dtype=np.bool_)
    for scene in scenes:
        # Only where the scene lies and nothing is seen yet: of 50 scenes a block meets a few.
        part = _unseen(valid, window, scene_window(scene, lattice, window, target))
        if part is None:
            continue
        try:
            values, seen = read(scene, lattice, part, target)
        except ImageryError as error:
            if FileStamp.of(scene.uri).size >= 0:
                check_stamps(scene.stamps)  # Another file may not even open.
            if holes is None:
                raise
            holes.append(Hole(error.found, redacted(scene.uri)))
            continue
        # After reading: what was read before is what was planned, too.
        check_stamps(scene.stamps)
        rows, cols = part.slices_in(window)
        new = seen & ~valid[rows, cols]
        np.copyto(pixels[:, rows, cols], values, where=new)
        valid[rows, cols] |= new
    return ImageBlock(pixels, valid, tuple(holes or ()))


def _unseen(
    valid: NDArray[np.bool_], window: PixelWindow, extent: PixelWindow
) -> PixelWindow | None:
    """Return the least window of a scene's extent that has all pixels not valid yet."""
    part = extent & window
    if part is None:
        return None
    missing = ~valid[part.slices_in(window)]
    rows, cols = np.flatnonzero(missing.any(axis=1)), np.flatnonzero(missing.any(axis=0))
    if not rows.size:
        return None
    top, left = part.top + int(rows[0]), part.left + int(cols[0])
    return PixelWindow(top, left, int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1)
