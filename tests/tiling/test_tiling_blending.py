"""Blending: weights that sum to 1, the same bytes however the work is divided."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from s2s_map.tiling.blending import Blender, axis_overlap, fade_weights
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.patches import PatchLayout, PatchSet

LAYOUT = PatchLayout(patch_m=280, input_px=28, stride_m=70, tokens=14)
CRS = "EPSG:32621"
DIM = 3

corners = st.integers(-2_000, 2_000)
layouts = st.sampled_from(
    [
        LAYOUT,
        PatchLayout(patch_m=280, input_px=28, stride_m=280, tokens=7),
        PatchLayout(patch_m=256, input_px=224, stride_m=64, tokens=14),
    ]
)


def vectors_at(patchset: PatchSet, indices: object = slice(None)) -> NDArray[np.float32]:
    """Made-up token embeddings that depend on the patch's place alone."""
    rows, cols = patchset.rows_cols(indices)  # type: ignore[arg-type]
    tokens = patchset.layout.tokens
    out = np.empty((len(rows), tokens * tokens, DIM), dtype=np.float32)
    for i, (row, col) in enumerate(zip(rows, cols, strict=True)):
        seed = (patchset.y_index[row] + 10_000, patchset.x_index[col] + 10_000)
        out[i] = np.random.default_rng(seed).normal(size=out.shape[1:])
    return out


def everything_valid(patchset: PatchSet) -> NDArray[np.bool_]:
    return np.ones((patchset.count, patchset.layout.tokens**2), dtype=np.bool_)


def blend(block: Block, layout: PatchLayout) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    patchset = layout.patches_for(block.bounds, "token")
    blender = Blender(block, layout, patchset, DIM)
    blender.add(slice(None), vectors_at(patchset), everything_valid(patchset))
    return blender.result()


def blend_grid(grid: MapGrid, layout: PatchLayout) -> NDArray[np.float32]:
    values = np.full((*grid.shape, DIM), np.nan, dtype=np.float32)
    for block in grid.blocks():
        values[block.y, block.x] = blend(block, layout)[0]
    return values


def test_fade_weights_fall_towards_the_edges_but_not_to_zero() -> None:
    weights = fade_weights(14)
    assert weights.shape == (14,)
    assert (weights > 0).all()
    assert (weights <= 1).all()
    assert (np.diff(weights[:7]) > 0).all()
    np.testing.assert_allclose(weights, weights[::-1])
    np.testing.assert_allclose(weights[:7] + weights[7:], 1.0)  # half overlapping patches


@given(st.floats(-50.0, 50.0), st.floats(0.5, 20.0), st.floats(0.5, 20.0))
def test_overlaps_of_an_interval_add_up_to_its_length(
    start: float, step: float, cell: float
) -> None:
    first = np.floor(start / cell) * cell
    cells = int(np.ceil((start + 5 * step - first) / cell)) + 1
    overlap = axis_overlap(start, step, 5, first, cell, cells)
    np.testing.assert_allclose(overlap.sum(axis=1), step, rtol=1e-9)
    assert (overlap >= 0).all()
    assert (overlap <= min(step, cell) + 1e-9).all()


@given(layouts, corners, corners, st.integers(1, 4), st.sampled_from([15, 20, 35, 300]))
@settings(max_examples=30)
def test_a_constant_field_stays_constant_to_the_edge(
    layout: PatchLayout, x: int, y: int, cells: int, cell: int
) -> None:
    grid = MapGrid.from_bounds((x, y, x + cells * cell, y + cells * cell), CRS, cell, 100)
    block = grid.block(0, 0)
    patchset = layout.patches_for(block.bounds, "token")
    blender = Blender(block, layout, patchset, 2)
    field = np.broadcast_to(
        np.array([0.7, -1.3], dtype=np.float32), (patchset.count, layout.tokens**2, 2)
    )
    blender.add(slice(None), np.array(field), everything_valid(patchset))
    values, weight = blender.result()
    assert (weight > 0).all()
    np.testing.assert_allclose(values[..., 0], 0.7, rtol=1e-5)
    np.testing.assert_allclose(values[..., 1], -1.3, rtol=1e-5)


@given(layouts, corners, corners)
@settings(max_examples=10)
def test_values_are_means_by_shared_area_and_fade_weight(
    layout: PatchLayout, x: int, y: int
) -> None:
    block = MapGrid.from_bounds((x, y, x + 60, y + 40), CRS, 20, 100).block(0, 0)
    patchset = layout.patches_for(block.bounds, "token")
    vectors = vectors_at(patchset)
    valid = np.random.default_rng(1).random((patchset.count, layout.tokens**2)) < 0.7
    blender = Blender(block, layout, patchset, DIM)
    blender.add(slice(None), vectors, valid)
    values, weight = blender.result()

    # Token by token, as the definition says.
    t, side, fade = layout.tokens, layout.token_m, fade_weights(layout.tokens)
    total, weights = np.zeros((*block.shape, DIM)), np.zeros(block.shape)
    tops = block.bounds[3] - np.arange(block.shape[0])[:, None] * 20.0
    lefts = block.bounds[0] + np.arange(block.shape[1])[None, :] * 20.0
    for p, (cx, cy) in enumerate(patchset.centres(slice(None))):
        for j in range(t):
            for i in range(t):
                top, left = cy + layout.patch_m / 2 - j * side, cx - layout.patch_m / 2 + i * side
                high = np.clip(np.minimum(top, tops) - np.maximum(top - side, tops - 20), 0, None)
                wide = np.clip(
                    np.minimum(left + side, lefts + 20) - np.maximum(left, lefts), 0, None
                )
                w = high * wide / 400.0 * fade[j] * fade[i] * valid[p, j * t + i]
                weights += w
                total += w[..., None] * vectors[p, j * t + i]
    np.testing.assert_allclose(weight, weights, rtol=1e-4, atol=1e-7)
    expected = total / np.where(weights > 0, weights, np.nan)[..., None]
    np.testing.assert_allclose(values, expected, rtol=2e-3, atol=1e-5)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12))
@settings(max_examples=15)
def test_any_batches_give_the_same_bytes(batches: list[int]) -> None:
    block = MapGrid.from_bounds((1000, 500, 1200, 700), CRS, 20, 100).block(0, 0)
    patchset = LAYOUT.patches_for(block.bounds, "token")
    vectors, valid = vectors_at(patchset), everything_valid(patchset)
    valid[::3, ::2] = False
    blender = Blender(block, LAYOUT, patchset, DIM)
    start = 0
    for size in [*batches, patchset.count]:
        indices = range(start, min(start + size, patchset.count))
        blender.add(indices, vectors[indices], valid[indices])
        start = indices.stop
    whole = Blender(block, LAYOUT, patchset, DIM)
    whole.add(slice(None), vectors, valid)
    for one, other in zip(blender.result(), whole.result(), strict=True):
        assert one.tobytes() == other.tobytes()


@given(corners, corners, st.integers(1, 12), layouts)
@settings(max_examples=10)
def test_any_blocks_give_the_same_bytes(x: int, y: int, size: int, layout: PatchLayout) -> None:
    bounds = (x, y, x + 220, y + 180)
    whole = blend_grid(MapGrid.from_bounds(bounds, CRS, 20, 100), layout)
    parts = blend_grid(MapGrid.from_bounds(bounds, CRS, 20, size), layout)
    assert whole.tobytes() == parts.tobytes()


@given(st.integers(1, 10))
@settings(max_examples=5)
def test_a_split_region_gives_the_same_bytes(columns: int) -> None:
    cut = -100 + columns * 20
    whole = blend_grid(MapGrid.from_bounds((-100, -60, 120, 80), CRS, 20, 4), LAYOUT)
    west = blend_grid(MapGrid.from_bounds((-100, -60, cut, 80), CRS, 20, 3), LAYOUT)
    east = blend_grid(MapGrid.from_bounds((cut, -60, 120, 80), CRS, 20, 5), LAYOUT)
    assert np.concatenate([west, east], axis=1).tobytes() == whole.tobytes()


def test_a_dot_product_with_the_mean_is_the_mean_of_dot_products() -> None:
    block = MapGrid.from_bounds((0, 0, 200, 200), CRS, 20, 100).block(0, 0)
    patchset = LAYOUT.patches_for(block.bounds, "token")
    vectors, valid = vectors_at(patchset), everything_valid(patchset)
    query = np.array([0.6, -0.64, 0.48], dtype=np.float32)
    blender, scalar = (Blender(block, LAYOUT, patchset, dim) for dim in (DIM, 1))
    blender.add(slice(None), vectors, valid)
    scalar.add(slice(None), (vectors @ query)[..., None], valid)
    np.testing.assert_allclose(blender.result()[0] @ query, scalar.result()[0][..., 0], atol=1e-5)


def test_cells_without_valid_tokens_are_nan_and_invalid_tokens_weigh_nothing() -> None:
    block = MapGrid.from_bounds((0, 0, 1400, 200), CRS, 20, 100).block(0, 0)
    patchset = LAYOUT.patches_for(block.bounds, "token")
    vectors = vectors_at(patchset)
    x = patchset.centres(slice(None))[:, 0]
    offsets = (np.arange(14) + 0.5) * LAYOUT.token_m - LAYOUT.patch_m / 2
    token_x = np.tile(x[:, None, None] + offsets[None, None, :], (1, 14, 1))
    valid = (token_x < 700.0).reshape(patchset.count, -1)
    vectors[~valid] = np.nan
    blender = Blender(block, LAYOUT, patchset, DIM)
    blender.add(slice(None), vectors, valid)
    values, weight = blender.result()
    assert np.isfinite(values[:, :35]).all()
    assert (weight[:, :35] > 0).all()
    assert np.isnan(values[:, 36:]).all()
    assert (weight[:, 36:] == 0).all()
    assert values.dtype == weight.dtype == np.float32


def test_nothing_added_is_all_nan() -> None:
    block = MapGrid.from_bounds((0, 0, 100, 100), CRS, 20, 100).block(0, 0)
    blender = Blender(block, LAYOUT, LAYOUT.patches_for(block.bounds, "token"), DIM)
    values, weight = blender.result()
    assert np.isnan(values).all()
    assert not weight.any()


def test_arrays_of_another_shape_are_refused() -> None:
    block = MapGrid.from_bounds((0, 0, 100, 100), CRS, 20, 100).block(0, 0)
    patchset = LAYOUT.patches_for(block.bounds, "token")
    blender = Blender(block, LAYOUT, patchset, DIM)
    with pytest.raises(ValueError, match="2 patches of 196 tokens"):
        blender.add([0, 1], np.zeros((1, 196, DIM), np.float32), np.ones((1, 196), np.bool_))
