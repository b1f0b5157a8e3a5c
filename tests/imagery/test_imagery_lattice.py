"""The pixel lattice is the same for every block, to the bit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.imagery.lattice import Lattice, PixelWindow
from s2s_map.tiling.patches import PatchLayout

LAYOUTS = [
    PatchLayout(patch_m=2560, input_px=224, stride_m=640),
    PatchLayout(patch_m=180, input_px=224, stride_m=45),
    PatchLayout(patch_m=51.2, input_px=224, stride_m=24),
    PatchLayout(patch_m=2560, input_px=224, stride_m=171.4286),
]
corners = st.integers(-500_000, 9_500_000)


@given(st.sampled_from(LAYOUTS), corners, corners, corners, corners)
def test_blocks_anywhere_share_one_lattice(
    layout: PatchLayout, x: int, y: int, other_x: int, other_y: int
) -> None:
    reads = [
        layout.patches_for((a, b, a + 640, b + 640), "token")
        for a, b in ((x, y), (other_x, other_y))
    ]
    (one, window), (other, _) = (Lattice.of(r.read_bounds, r.read_shape) for r in reads)
    assert one == other
    west, north = one.origin(window)
    assert west == pytest.approx(reads[0].read_bounds[0], abs=1e-3)
    assert north == pytest.approx(reads[0].read_bounds[3], abs=1e-3)
    assert one.cover(reads[0].read_bounds).top in (window.top - 1, window.top)


def test_coordinates_left_and_below_the_origin() -> None:
    lattice, window = Lattice.of((-25.0, -25.0, -5.0, -5.0), (2, 2))
    assert lattice == Lattice(Fraction(10), Fraction(5), Fraction(5))
    assert window == PixelWindow(1, -3, 2, 2)
    assert lattice.origin(window) == (-25.0, -5.0)
    assert lattice.cover((-25.0, -25.0, -5.0, -5.0)) == window


def test_pixels_must_be_square() -> None:
    with pytest.raises(ValueError, match="not square"):
        Lattice.of((0.0, 0.0, 20.0, 10.0), (2, 2))


def test_windows_intersect() -> None:
    one, other = PixelWindow(0, 0, 4, 5), PixelWindow(2, -1, 9, 3)
    shared = one & other
    assert shared == PixelWindow(2, 0, 2, 2)
    assert shared.slices_in(other) == (slice(0, 2), slice(1, 3))
    assert one & PixelWindow(4, 0, 1, 1) is None
