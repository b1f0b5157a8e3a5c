"""Patches, the model's inputs: windows of a block's pixels, centred on an anchored lattice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from s2s_map.errors import ConfigError

Level = Literal["patch", "token"]
Indices = Sequence[int] | NDArray[np.integer] | slice

# A stride is a whole number of pixels if it misses one by less than this share of a pixel: users
# write 171.43 for 1200/7.
_PIXEL_TOLERANCE = 1e-3
# Positions on the lattice closer than this (in strides) to a block's edge are on it.
_ON_EDGE = 1e-9


@dataclass(frozen=True)
class PatchLayout:
    """Size and spacing of patches.

    A patch is a square of `patch_m` metres, seen by the model as `input_px` x `input_px` pixels
    and encoded as `tokens` x `tokens` tokens. Its centre is on ((k + 0.5) * stride_m), anchored
    to the CRS origin. The stride is a whole number of pixels, so that every patch is a plain
    window of pixels that were resampled once.

    Attributes:
        patch_m: Side of a patch in metres.
        input_px: Side of a patch in model pixels.
        stride_m: Distance between patch centres in metres; made exact at construction.
        tokens: Tokens along the side of a patch.
        source_px: Side of a patch in pixels of the source, if patches are read in these and each
            is resized by itself; None: the imagery is read in model pixels.

    Raises:
        ConfigError: For sizes that are not positive, a token that is not whole pixels, or a
            stride that is not.
    """

    patch_m: float
    input_px: int
    stride_m: float
    tokens: int = 14
    source_px: int | None = None

    def __post_init__(self) -> None:
        if min(self.patch_m, self.input_px, self.stride_m, self.tokens) <= 0:
            raise ConfigError(
                f"patches of {self.patch_m} m and {self.input_px} px every {self.stride_m} m",
                expected="sizes above 0",
            )
        if self.input_px % self.tokens:
            raise ConfigError(
                f"patches of {self.input_px} px with {self.tokens} tokens a side",
                expected="tokens of whole pixels",
            )
        pixel = self._pixel
        stride_px = round(Fraction(self.stride_m) / pixel)
        if stride_px < 1 or abs(self.stride_m / float(pixel) - stride_px) > _PIXEL_TOLERANCE:
            below, above = self._nearest_strides()
            raise ConfigError(
                f"a stride of {self.stride_m:g} m is {self.stride_m / float(pixel):.2f} pixels of "
                f"{float(pixel):.3f} m",
                expected="a whole number of pixels",
                remedy=f"take stride_m: {below} or {above}",
            )
        object.__setattr__(self, "stride_m", float(stride_px * pixel))
        read = Fraction(self.stride_m) / self._read_pixel
        if self.source_px is not None and abs(read - round(read)) > _PIXEL_TOLERANCE:
            raise ConfigError(
                f"a stride of {self.stride_m:g} m is {float(read):.2f} source pixels of "
                f"{float(self._read_pixel):g} m",
                expected="a whole number of source pixels, at resampling: exact",
                remedy="take another stride_m, or resampling: block",
            )

    @cached_property
    def _pixel(self) -> Fraction:
        # Micrometres are below any ground sample distance; this undoes decimal float noise.
        return Fraction(self.patch_m).limit_denominator(10**6) / self.input_px

    @property
    def pixel_m(self) -> float:
        """Side of a model pixel in metres."""
        return float(self._pixel)

    @cached_property
    def stride_px(self) -> int:
        """Distance between patch centres in model pixels."""
        return round(Fraction(self.stride_m) / self._pixel)

    @property
    def read_px(self) -> int:
        """Side of a patch in the pixels that imagery is read in."""
        return self.input_px if self.source_px is None else self.source_px

    @cached_property
    def read_stride_px(self) -> int:
        """Distance between patch centres in the pixels that imagery is read in."""
        return round(Fraction(self.stride_m) / self._read_pixel)

    @cached_property
    def _read_pixel(self) -> Fraction:
        return Fraction(self.patch_m).limit_denominator(10**6) / self.read_px

    @property
    def token_m(self) -> float:
        """Side of a token in metres."""
        return self.patch_m / self.tokens

    @property
    def overlap(self) -> float:
        """Share of a patch's side that the next patch covers too, 0 to below 1."""
        return max(0.0, 1.0 - self.stride_m / self.patch_m)

    def centre(self, index: int) -> float:
        """Return the centre in metres of a lattice index along either axis."""
        return float((index + Fraction(1, 2)) * self.stride_px * self._pixel)

    def edge(self, index: int) -> float:
        """Return the lower edge in metres of the patch of a lattice index along either axis."""
        # Whole numbers over one denominator: rounded once, as by Fraction, in a tenth of the time.
        step, half, parts = self._halves
        return ((2 * index + 1) * step - half) / parts

    @cached_property
    def _halves(self) -> tuple[int, int, int]:
        """Half a stride and half a patch in parts of a metre, and how many parts make one."""
        step = self.stride_px * self._pixel / 2
        half = Fraction(self.patch_m).limit_denominator(10**6) / 2
        parts = math.lcm(step.denominator, half.denominator)
        return int(step * parts), int(half * parts), parts

    def patches_for(self, bounds: tuple[float, float, float, float], level: Level) -> PatchSet:
        """Return all patches that a block of cells needs.

        At level "token" these are all patches that overlap the bounds; at level "patch" those
        centred in them: one per cell, since there the stride is the cell size.

        Args:
            bounds: (minx, miny, maxx, maxy) in metres.
            level: "token" or "patch".

        Raises:
            ConfigError: At level "token" for a stride longer than a patch (tokens would leave
                gaps); at level "patch" for bounds that are not whole strides.
        """
        minx, miny, maxx, maxy = bounds
        if level == "patch":
            ranges = [self._centred_in(low, high) for low, high in ((minx, maxx), (miny, maxy))]
        else:
            self.check_touching()
            ranges = [self._overlapping(low, high) for low, high in ((minx, maxx), (miny, maxy))]
        return PatchSet(self, y_index=ranges[1][::-1], x_index=ranges[0])

    def check_touching(self) -> None:
        """Check that patches leave no gaps, as level "token" needs.

        Raises:
            ConfigError: For a stride longer than a patch.
        """
        if self.stride_m > self.patch_m:
            raise ConfigError(
                f"a stride of {self.stride_m:g} m between patches of {self.patch_m:g} m",
                expected="patches that touch, at level token",
                remedy=f"take a stride of at most {self.patch_m:g} m, or level: patch",
            )

    def patch_near(self, x: float, y: float) -> PatchSet:
        """Return the one patch of the lattice whose centre is nearest to a point in metres."""
        column, row = (round(value / self.stride_m - 0.5) for value in (x, y))
        return PatchSet(self, range(row, row + 1), range(column, column + 1))

    def _centred_in(self, low: float, high: float) -> range:
        first, last = low / self.stride_m, high / self.stride_m
        if max(abs(first - round(first)), abs(last - round(last))) > 1e-6:
            raise ConfigError(
                f"a stride of {self.stride_m:g} m over cells from {low:g} to {high:g} m",
                expected="the stride to be the cell size, at level patch",
                remedy="take stride_m equal to cell_m",
            )
        return range(round(first), round(last))

    def _overlapping(self, low: float, high: float) -> range:
        half = self.patch_m / 2.0
        first = math.floor((low - half) / self.stride_m - 0.5 + _ON_EDGE) + 1
        last = math.ceil((high + half) / self.stride_m - 0.5 - _ON_EDGE)
        return range(first, last)

    def _nearest_strides(self) -> tuple[str, str]:
        # Whole metres where there are some between one pixel and the patch: p/q metres times a
        # multiple of q.
        step = Fraction(self._pixel.numerator)
        if step >= Fraction(self.patch_m):
            step = self._pixel
        below = max(1, math.floor(Fraction(self.stride_m) / step))
        return f"{float(below * step):.10g}", f"{float((below + 1) * step):.10g}"


@dataclass(frozen=True)
class PatchSet:
    """The patches of a block, in rows from the north and columns from the west.

    Patch `i` is in row ``i // columns`` and column ``i % columns``.

    Attributes:
        layout: Size and spacing of the patches.
        y_index: Lattice index of each row, descending.
        x_index: Lattice index of each column, ascending.
    """

    layout: PatchLayout
    y_index: range
    x_index: range

    @property
    def shape(self) -> tuple[int, int]:
        """Patches, rows and columns."""
        return len(self.y_index), len(self.x_index)

    @property
    def count(self) -> int:
        """Number of patches."""
        return len(self.y_index) * len(self.x_index)

    @property
    def y(self) -> NDArray[np.float64]:
        """Centres of the rows in metres, descending."""
        return np.array([self.layout.centre(k) for k in self.y_index])

    @property
    def x(self) -> NDArray[np.float64]:
        """Centres of the columns in metres, ascending."""
        return np.array([self.layout.centre(k) for k in self.x_index])

    @property
    def read_bounds(self) -> tuple[float, float, float, float]:
        """(minx, miny, maxx, maxy) in metres of all patches together: a block with its halo."""
        edge, side = self.layout.edge, self.layout.patch_m
        return (
            edge(self.x_index[0]),
            edge(self.y_index[-1]),
            edge(self.x_index[-1]) + side,
            edge(self.y_index[0]) + side,
        )

    @property
    def read_shape(self) -> tuple[int, int]:
        """Pixels of `read_bounds` as they are read, rows and columns."""
        rows, cols = self.shape
        step, side = self.layout.read_stride_px, self.layout.read_px
        return (rows - 1) * step + side, (cols - 1) * step + side

    @property
    def model_shape(self) -> tuple[int, int]:
        """Model pixels of `read_bounds`, rows and columns."""
        rows, cols = self.shape
        step, side = self.layout.stride_px, self.layout.input_px
        return (rows - 1) * step + side, (cols - 1) * step + side

    def rows_cols(self, indices: Indices) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return row and column of B patches, each of shape (B,)."""
        if isinstance(indices, slice):
            indices = range(*indices.indices(self.count))
        rows, cols = np.divmod(np.asarray(indices, dtype=np.intp), len(self.x_index))
        return rows, cols

    def centres(self, indices: Indices) -> NDArray[np.float64]:
        """Return the centres of B patches, x and y in metres, shape (B, 2)."""
        rows, cols = self.rows_cols(indices)
        return np.stack([self.x[cols], self.y[rows]], axis=-1)


def cut[Pixel: np.generic](
    pixels: NDArray[Pixel], patchset: PatchSet, indices: Indices
) -> NDArray[Pixel]:
    """Return patches as windows of the pixels that were read for their set.

    Args:
        pixels: Shape (..., py, px) with (py, px) the set's `read_shape`.
        patchset: The patches.
        indices: Which of them, B in number.

    Returns:
        A copy of shape (B, ..., read_px, read_px).

    Raises:
        ValueError: For pixels of another shape than `read_shape`.
    """
    if pixels.shape[-2:] != patchset.read_shape:
        raise ValueError(f"pixels are {pixels.shape}, the patches need {patchset.read_shape}")
    side, step = patchset.layout.read_px, patchset.layout.read_stride_px
    windows = sliding_window_view(pixels, (side, side), axis=(-2, -1))
    windows = np.moveaxis(windows[..., ::step, ::step, :, :], (-4, -3), (0, 1))
    rows, cols = patchset.rows_cols(indices)
    return np.ascontiguousarray(windows[rows, cols])
