"""Half of the pixels decide whether a token, a patch or a cell counts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.patches import PatchLayout, cut
from s2s_map.tiling.validity import cell_valid, patch_valid, token_valid

LAYOUT = PatchLayout(patch_m=80, input_px=8, stride_m=20, tokens=4)
BLOCK = MapGrid.from_bounds((-40.0, 0.0, 80.0, 60.0), "EPSG:32621", 20, 100).block(0, 0)
PATCHES = LAYOUT.patches_for(BLOCK.bounds, "token")


@pytest.fixture(params=[0.2, 0.5, 0.8])
def valid(request: pytest.FixtureRequest) -> NDArray[np.bool_]:
    return np.random.default_rng(2).random(PATCHES.read_shape) < request.param


def test_tokens_count_from_half_of_their_pixels_on(valid: NDArray[np.bool_]) -> None:
    tokens = cut(valid, PATCHES, slice(None)).reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
    expected = (tokens >= 0.5).reshape(-1, 16)
    np.testing.assert_array_equal(token_valid(valid, PATCHES, slice(None)), expected)
    np.testing.assert_array_equal(token_valid(valid, PATCHES, [3, 1]), expected[[3, 1]])


def test_patches_count_from_half_of_their_pixels_on(valid: NDArray[np.bool_]) -> None:
    expected = cut(valid, PATCHES, slice(None)).mean(axis=(1, 2)) >= 0.5
    np.testing.assert_array_equal(patch_valid(valid, PATCHES, slice(None)), expected)


def test_cells_count_from_half_of_their_area_on(valid: NDArray[np.bool_]) -> None:
    minx, _, _, maxy = PATCHES.read_bounds
    top = round((maxy - BLOCK.bounds[3]) / LAYOUT.pixel_m)
    left = round((BLOCK.bounds[0] - minx) / LAYOUT.pixel_m)
    inner = valid[top : top + 6, left : left + 12]
    expected = inner.reshape(3, 2, 6, 2).mean(axis=(1, 3)) >= 0.5
    np.testing.assert_array_equal(cell_valid(valid, PATCHES, BLOCK), expected)


def test_cells_of_fractional_pixels_share_them() -> None:
    grid = MapGrid.from_bounds((0.0, 0.0, 15.0, 15.0), "EPSG:32621", 15, 100)
    patchset = LAYOUT.patches_for(grid.bounds, "token")
    valid = np.ones(patchset.read_shape, dtype=np.bool_)
    # The cell spans 1.5 pixels; of its columns only the half one stays.
    left = round((0.0 - patchset.read_bounds[0]) / LAYOUT.pixel_m)
    valid[:, left] = False
    assert not cell_valid(valid, patchset, grid.block(0, 0)).any()
    valid[:, left], valid[:, left + 1] = True, False
    assert cell_valid(valid, patchset, grid.block(0, 0)).all()


def test_nothing_observed_counts_nowhere() -> None:
    nothing = np.zeros(PATCHES.read_shape, dtype=np.bool_)
    assert not token_valid(nothing, PATCHES, slice(None)).any()
    assert not patch_valid(nothing, PATCHES, slice(None)).any()
    assert not cell_valid(nothing, PATCHES, BLOCK).any()
