"""The pixel lattice that imagery is resampled onto, the same for every block of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from s2s_map.catalog.scene import Scene

Bounds = tuple[float, float, float, float]

_LEAST_SIDE = 16


@dataclass(frozen=True)
class PixelWindow:
    """A rectangle of lattice pixels; rows run south.

    Attributes:
        top: First row.
        left: First column.
        height: Number of rows.
        width: Number of columns.
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """First row below."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """First column beyond."""
        return self.left + self.width

    def __and__(self, other: PixelWindow) -> PixelWindow | None:
        """Return what both share, None where that is nothing."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        if bottom <= top or right <= left:
            return None
        return PixelWindow(top, left, bottom - top, right - left)

    def slices_in(self, outer: PixelWindow) -> tuple[slice, slice]:
        """Return rows and columns of this window in an array of the outer one."""
        top, left = self.top - outer.top, self.left - outer.left
        return slice(top, top + self.height), slice(left, left + self.width)


@dataclass(frozen=True)
class Lattice:
    """Square pixels anchored to a point.

    Bounds of different blocks give the pixel size and the anchor with different float noise,
    which would move pixels by a billionth and now and then flip the rounding to 8 bit. Read as
    fractions, they agree, and a pixel gets the same value from whichever block it is read for.

    Attributes:
        pixel_m: Side of a pixel in metres.
        west: x of the west edge of column 0, from 0 to below one pixel.
        north: y of the north edge of row 0, from 0 to below one pixel.
    """

    pixel_m: Fraction
    west: Fraction
    north: Fraction

    @classmethod
    def of(cls, bounds: Bounds, shape: tuple[int, int]) -> tuple[Lattice, PixelWindow]:
        """Return the lattice of `shape` pixels over `bounds`, and these as a window of it.

        Raises:
            ValueError: For pixels that are not square.
        """
        minx, miny, maxx, maxy = bounds
        width, height = (maxx - minx) / shape[1], (maxy - miny) / shape[0]
        if not math.isclose(width, height, rel_tol=1e-6):
            raise ValueError(f"pixels of {width} x {height} m are not square")
        pixel = Fraction(width).limit_denominator(10**5)
        west, north = (Fraction(edge).limit_denominator(10**4) for edge in (minx, maxy))
        lattice = cls(pixel, west % pixel, north % pixel)
        top, left = round(lattice.row(maxy)), round(lattice.column(minx))
        return lattice, PixelWindow(top, left, *shape)

    def column(self, x: float) -> float:
        """Return the column of an x in metres."""
        return float((Fraction(x) - self.west) / self.pixel_m)

    def row(self, y: float) -> float:
        """Return the row of a y in metres."""
        return float((self.north - Fraction(y)) / self.pixel_m)

    def origin(self, window: PixelWindow) -> tuple[float, float]:
        """Return x and y in metres of a window's north-west corner."""
        return (
            _after(self.west, window.left, self.pixel_m),
            _after(self.north, -window.top, self.pixel_m),
        )

    def bounds(self, window: PixelWindow) -> Bounds:
        """Return (minx, miny, maxx, maxy) of a window in metres."""
        west, north = self.origin(window)
        pixel = float(self.pixel_m)
        return west, north - window.height * pixel, west + window.width * pixel, north

    def cover(self, bounds: Bounds) -> PixelWindow:
        """Return the pixels that touch bounds in metres."""
        top, bottom = math.floor(self.row(bounds[3])), math.ceil(self.row(bounds[1]))
        left, right = math.floor(self.column(bounds[0])), math.ceil(self.column(bounds[2]))
        return PixelWindow(top, left, bottom - top, right - left)

    def source_columns(self, scene: Scene) -> tuple[float, float]:
        """Return scale and offset from columns to those of a north-up scene of the same CRS."""
        size = Fraction(scene.transform.a)
        return float(self.pixel_m / size), float((self.west - Fraction(scene.transform.c)) / size)

    def source_rows(self, scene: Scene) -> tuple[float, float]:
        """Return scale and offset from rows to those of a north-up scene of the same CRS."""
        size = Fraction(-scene.transform.e)
        return float(self.pixel_m / size), float((Fraction(scene.transform.f) - self.north) / size)


def _after(start: Fraction, steps: int, step: Fraction) -> float:
    """Return ``float(start + steps * step)``, in a fraction of the time that fractions take."""
    whole = start.numerator * step.denominator + steps * step.numerator * start.denominator
    return whole / (start.denominator * step.denominator)


def squares_of(window: PixelWindow, side: int) -> Iterator[tuple[PixelWindow, PixelWindow]]:
    """Yield the squares of the lattice that a window touches, and what of each lies in it."""
    for row in range(window.top // side, -(-window.bottom // side)):
        for col in range(window.left // side, -(-window.right // side)):
            square = PixelWindow(row * side, col * side, side, side)
            inside = square & window
            if inside is not None:
                yield square, inside


def square_side(
    pixel_m: float, native_m: float, source_px: int, largest: int, least: int = _LEAST_SIDE
) -> int:
    """Return the side of squares to read at a time, in pixels of the lattice; a power of two.

    Args:
        pixel_m: Pixel of the lattice.
        native_m: Pixel of the source.
        source_px: Pixels of the source along a side, at most, so that memory stays bounded; but for
            sides of the least.
        largest: The largest side.
        least: The least side.
    """
    ratio = max(pixel_m / native_m, 1.0)
    side = 1 << max(0, math.floor(math.log2(source_px / ratio)))
    return max(least, min(largest, side))
