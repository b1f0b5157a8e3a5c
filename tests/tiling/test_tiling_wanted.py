"""Patches that touch no cell of the region say nothing of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2s_map.tiling.blending import Blender
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.patches import PatchLayout
from s2s_map.tiling.wanted import wanted_patches

CRS = "EPSG:32633"
AT_ONCE = 64


@settings(max_examples=60, deadline=None)
@given(st.integers(40, 400), st.integers(1, 8), st.integers(0, 2**16), st.integers(1, 9))
def test_a_patch_is_wanted_if_it_has_weight_in_a_cell_of_the_region(
    cell_m: int, stride: int, seed: int, block_cells: int
) -> None:
    layout = PatchLayout(560.0, 56, 70.0 * stride, 14)
    rng = np.random.default_rng(seed)
    west, south = rng.integers(-20, 20, 2) * cell_m
    grid = MapGrid.from_bounds(
        (west, south, west + 7 * cell_m, south + 5 * cell_m), CRS, cell_m, block_cells
    )
    block = grid.blocks()[-1]
    inside = rng.random(block.shape) < 0.2
    patchset = layout.patches_for(block.bounds, "token")
    wanted = wanted_patches(patchset, block, inside, "token")
    for begin in range(0, patchset.count, AT_ONCE):
        some = np.arange(begin, min(begin + AT_ONCE, patchset.count))
        # Each is one dimension, in which a cell has its share of the weights of all.
        tokens = np.eye(len(some), dtype=np.float32)[:, None].repeat(layout.tokens**2, axis=1)
        blender = Blender(block, layout, patchset, len(some))
        blender.add(some.tolist(), tokens, np.ones(tokens.shape[:2], dtype=np.bool_))
        shares, weights = blender.result()
        found = np.nan_to_num(shares[inside]) * weights[inside, None]
        weighs = (found > 1e-5).any(axis=0)
        # One that shares a rounding error with a cell may be encoded needlessly, none is missed.
        assert (wanted[some] | ~weighs).all()
    assert wanted.all() or not inside.all()
    assert inside.any() or not wanted.any()


def test_far_patches_are_not_wanted() -> None:
    # Patches of two cells every cell: a cell is in the middle of one, and touched by nine.
    layout = PatchLayout(200.0, 20, 100.0, 10)
    grid = MapGrid.from_bounds((0, 0, 800, 800), CRS, 100, 8)
    inside = np.zeros((8, 8), dtype=np.bool_)
    inside[4, 3] = True
    patchset = layout.patches_for(grid.block(0, 0).bounds, "token")
    wanted = wanted_patches(patchset, grid.block(0, 0), inside, "token").reshape(patchset.shape)
    x, y = grid.x[3], grid.y[4]
    near = (np.abs(patchset.y - y)[:, None] < 150) & (np.abs(patchset.x - x) < 150)
    np.testing.assert_array_equal(wanted, near)
    assert wanted.sum() == 9


@pytest.mark.parametrize("count", [0, 1, 5])
def test_at_level_patch_a_cell_is_a_patch(count: int) -> None:
    layout = PatchLayout(200.0, 20, 100.0, 10)
    block = MapGrid.from_bounds((0, 0, 400, 300), CRS, 100, 8).block(0, 0)
    inside = np.zeros(block.shape, dtype=np.bool_)
    inside.ravel()[:count] = True
    wanted = wanted_patches(layout.patches_for(block.bounds, "patch"), block, inside, "patch")
    assert wanted.sum() == count
    np.testing.assert_array_equal(wanted, inside.ravel())
