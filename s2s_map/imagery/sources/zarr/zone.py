"""One cube of imagery, read window by window as 8-bit true colour."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from s2s_map.arrays import Hole
from s2s_map.catalog.cube import EOPF_CLASSES, Cube
from s2s_map.catalog.scene import Scene
from s2s_map.config.cube import ZarrEntry
from s2s_map.config.scale import Scale
from s2s_map.config.stac import TRUE_COLOUR
from s2s_map.errors import ImageryError
from s2s_map.imagery.resampling import AVERAGE_FROM
from s2s_map.imagery.scaling import to_8bit
from s2s_map.opening.zarr_group import open_dataset, open_group, zarr_errors
from s2s_map.redaction import redacted

if TYPE_CHECKING:
    import xarray as xr

STRIP_BYTES = 256_000_000
"""Times of a place held at once, decoded; medians of more are made in strips."""

_PART_PX = 2048
_BYTES = 3 * 4 * 3  # Values of three bands, sorted, and where they are masked.


@dataclass(frozen=True)
class CubeZone:
    """A cube as the mosaic reads it.

    Attributes:
        cube: The cube.
        entry: Its catalog entry.
    """

    cube: Cube
    entry: ZarrEntry

    def native_pixel(self, wanted_m: float) -> float:
        """Return the cube's own pixel; doubled to half the wanted one where that is a mean."""
        scene = self.cube.scene
        pixel = scene.res[0]
        if wanted_m < AVERAGE_FROM * scene.gsd_m:
            return pixel
        return math.ldexp(pixel, math.floor(math.log2(wanted_m / scene.gsd_m / 2.0)))

    def scene(self, pixel_m: float) -> Scene:
        """Return the cube as one image, of squares of its pixels where larger ones are asked."""
        scene = self.cube.scene
        times = round(pixel_m / scene.res[0])
        if times == 1:
            return scene
        rows, cols = (-(-size // times) for size in scene.shape)
        t = scene.transform
        transform = Affine(t.a * times, 0.0, t.c, 0.0, t.e * times, t.f)
        bounds = (t.c, t.f + t.e * times * rows, t.c + t.a * times * cols, t.f)
        return replace(scene, shape=(rows, cols), transform=transform, bounds=bounds)

    def read(
        self, scene: Scene, rows: slice, cols: slice
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[Hole]]:
        """Read a window, rows counted from the north, the median of the times chosen.

        Returns:
            Pixels (3, rows, columns), the mask of what was seen, and a hole if it cannot be read.
            Those of squares are the mean of what was seen, where that is half of them.
        """
        times = round(scene.res[0] / self.cube.scene.res[0])
        if times == 1:
            return self._read(rows, cols)
        pixels = np.zeros((3, rows.stop - rows.start, cols.stop - cols.start), np.uint8)
        seen = np.zeros(pixels.shape[1:], np.bool_)
        step = max(1, _PART_PX // times)
        for top in range(rows.start, rows.stop, step):
            for left in range(cols.start, cols.stop, step):
                down, along = (
                    slice(top, min(top + step, rows.stop)),
                    slice(left, min(left + step, cols.stop)),
                )
                own = self._own(down, times, 0), self._own(along, times, 1)
                values, known, holes = self._read(*own)
                if holes:
                    return np.zeros_like(pixels), np.zeros_like(seen), holes
                inside = (
                    slice(down.start - rows.start, down.stop - rows.start),
                    slice(along.start - cols.start, along.stop - cols.start),
                )
                pixels[:, *inside], seen[inside] = _means(values, known, times)
        return pixels, seen, []

    def _own(self, squares: slice, times: int, axis: int) -> slice:
        size = self.cube.scene.shape[axis]
        return slice(squares.start * times, min(squares.stop * times, size))

    def _read(
        self, rows: slice, cols: slice
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[Hole]]:
        shape = (rows.stop - rows.start, cols.stop - cols.start)
        pixels, seen = np.zeros((3, *shape), np.uint8), np.zeros(shape, np.bool_)
        try:
            for strip in self._strips(rows, shape[1]):
                with zarr_errors(self.cube.uri):
                    values, known = self.values(strip, cols)
                part = slice(strip.start - rows.start, strip.stop - rows.start)
                pixels[:, part] = np.where(known, to_8bit(values, self._scale()), np.uint8(0))
                seen[part] = known
        except ImageryError as error:
            nothing = np.zeros_like(pixels), np.zeros_like(seen)
            return *nothing, [Hole(error.found, redacted(self.cube.uri))]
        return pixels, seen, []

    def _scale(self) -> Scale | None:
        if self.entry.scale is None and self.cube.is_eopf and not self.cube.is_8bit:
            return TRUE_COLOUR
        return self.entry.scale

    def _strips(self, rows: slice, width: int) -> list[slice]:
        steps = max(1, len(self.cube.steps))
        high = max(1, STRIP_BYTES // (_BYTES * width * steps))
        # Whole chunks, on the cube's own lattice of them: a chunk is fetched for one strip.
        chunk = self.cube.chunk_rows
        high = max(chunk, high // chunk * chunk)
        first = rows.start // high * high
        edges = [rows.start, *range(first + high, rows.stop, high), rows.stop]
        return [slice(a, b) for a, b in pairwise(edges)]

    def values(self, rows: slice, cols: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return values (3, rows, columns) as float32, and where they were seen."""
        dataset = open_dataset(self.cube.uri, self.cube.group)
        stack = np.stack([self._band(dataset, i, rows, cols) for i in range(self._reads())])
        bands = stack[0].swapaxes(0, 1) if self.cube.indices else stack  # (3, times, rows, cols)
        known = self._known(bands)
        if self.cube.is_eopf and self.entry.clear:
            known &= self._clear(rows, cols)
        if self.cube.dark is not None:
            # One band of dark water may have the value that means no data in all of them.
            np.nan_to_num(bands, copy=False, nan=self.cube.dark, posinf=np.inf, neginf=-np.inf)
        seen = known.any(axis=0)
        if bands.shape[1] == 1:
            return np.where(seen, bands[:, 0], np.float32(0.0)), seen
        bands[:, ~known] = np.nan
        with warnings.catch_warnings():
            # Of places never seen.
            warnings.simplefilter("ignore", RuntimeWarning)
            median = np.nanmedian(bands, axis=1)
        return np.where(seen, median, np.float32(0.0)).astype(np.float32), seen

    def _reads(self) -> int:
        return 1 if self.cube.indices else 3

    def _band(
        self, dataset: xr.Dataset, number: int, rows: slice, cols: slice
    ) -> NDArray[np.float32]:
        """Return a variable, (times, rows, columns) or (times, bands, rows, columns)."""
        cube = self.cube
        values = dataset[cube.variables[number]]
        *others, y_dim, x_dim = (str(dim) for dim in values.dims)
        height = cube.scene.shape[0]
        if cube.south_up:
            rows = slice(height - rows.stop, height - rows.start)
        where: dict[str, slice | list[int]] = {y_dim: rows, x_dim: cols}
        if cube.band_dim is not None:
            where[cube.band_dim] = list(cube.indices)
        time_dim = next((dim for dim in others if dim != cube.band_dim), None)
        if time_dim is not None:
            where[time_dim] = list(cube.steps)
        order = [dim for dim in (time_dim, cube.band_dim, y_dim, x_dim) if dim is not None]
        read = values.isel(where).transpose(*order).to_numpy().astype(np.float32)
        if cube.south_up:
            read = read[..., ::-1, :]
        return read if time_dim is not None else read[None]

    def _known(self, bands: NDArray[np.float32]) -> NDArray[np.bool_]:
        missing = np.isnan(bands)
        void = missing
        if self.cube.void is not None:
            void = missing | (bands == np.float32(self.cube.void))
        # A pixel is void where all bands are: a black band of dark water is not.
        seen = ~void.all(axis=0)
        return seen if self.cube.dark is not None else seen & ~missing.any(axis=0)

    def _clear(self, rows: slice, cols: slice) -> NDArray[np.bool_]:
        """Return where the scene classification of an EOPF product says that ground is seen."""
        import zarr

        classes = open_group(self.cube.uri).get(f"{EOPF_CLASSES}/scl")
        if not isinstance(classes, zarr.Array):
            return np.ones((rows.stop - rows.start, cols.stop - cols.start), np.bool_)
        ratio = self.cube.scene.shape[0] / classes.shape[-2]
        r = (np.arange(rows.start, rows.stop) / ratio).astype(np.int64)
        c = (np.arange(cols.start, cols.stop) / ratio).astype(np.int64)
        part = np.asarray(classes[r[0] : r[-1] + 1, c[0] : c[-1] + 1])
        return np.isin(part, self.entry.clear)[np.ix_(r - r[0], c - c[0])]


def _means(
    values: NDArray[np.uint8], known: NDArray[np.bool_], times: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the means of squares of pixels, and where at least half of a square is known."""
    rows, cols = known.shape
    tops, lefts = np.arange(0, rows, times), np.arange(0, cols, times)

    def sums(layer: NDArray[np.integer] | NDArray[np.bool_]) -> NDArray[np.uint32]:
        down = np.add.reduceat(layer, tops, axis=0, dtype=np.uint32)
        return np.add.reduceat(down, lefts, axis=1, dtype=np.uint32)

    count = sums(known)
    seen = 2 * count >= times * times
    totals = np.stack([sums(np.where(known, band, np.uint8(0))) for band in values])
    means = np.rint(totals / np.maximum(count, 1)).astype(np.uint8)
    return np.where(seen, means, np.uint8(0)), seen
