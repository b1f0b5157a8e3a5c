"""Which tokens and cells have enough observed pixels to count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from s2s_map.tiling.blending import axis_overlap
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.patches import Indices, PatchSet

HALF = 0.5
"""Share of observed pixels from which a token or cell counts."""


def model_valid(valid: NDArray[np.bool_], patchset: PatchSet) -> NDArray[np.bool_]:
    """Return which model pixels are observed, where imagery is read in pixels of the source.

    Args:
        valid: Observed pixels of the set's read, shape `read_shape`.
        patchset: The patches.

    Returns:
        Shape `model_shape`: whether at least half of a model pixel's area is observed.
    """
    if valid.shape == patchset.model_shape or valid.all():
        return (
            valid
            if valid.shape == patchset.model_shape
            else np.ones(patchset.model_shape, dtype=np.bool_)
        )
    layout = patchset.layout
    source, pixel = layout.patch_m / layout.read_px, layout.pixel_m
    rows, cols = patchset.model_shape
    down = axis_overlap(0.0, source, valid.shape[0], 0.0, pixel, rows)
    across = axis_overlap(0.0, source, valid.shape[1], 0.0, pixel, cols)
    observed = down.T @ valid.astype(np.float64) @ across
    return np.asarray(observed >= (HALF - 1e-9) * pixel * pixel)


def token_valid(
    valid: NDArray[np.bool_], patchset: PatchSet, indices: Indices
) -> NDArray[np.bool_]:
    """Return which tokens of patches have at least half of their pixels observed.

    Args:
        valid: Observed model pixels of the set's read, shape `model_shape`.
        patchset: The patches.
        indices: Which of them, B in number.

    Returns:
        Shape (B, tokens * tokens), tokens row by row from the north-west. The sums behind it are
        made again on every call: ask for all patches of a block at once.
    """
    layout = patchset.layout
    side = layout.input_px // layout.tokens
    rows, cols = patchset.rows_cols(indices)
    if valid.all():
        return np.ones((len(rows), layout.tokens**2), dtype=np.bool_)
    offsets = np.arange(layout.tokens) * side
    top = (rows * layout.stride_px)[:, None, None] + offsets[None, :, None]
    left = (cols * layout.stride_px)[:, None, None] + offsets[None, None, :]
    total = _summed(valid)
    count = (
        total[top + side, left + side]
        - total[top, left + side]
        - total[top + side, left]
        + total[top, left]
    )
    return np.asarray(count >= HALF * side * side).reshape(len(rows), -1)


def patch_valid(
    valid: NDArray[np.bool_], patchset: PatchSet, indices: Indices
) -> NDArray[np.bool_]:
    """Return which patches have at least half of their pixels observed, shape (B,)."""
    layout = patchset.layout
    rows, cols = patchset.rows_cols(indices)
    if valid.all():
        return np.ones(len(rows), dtype=np.bool_)
    top, left = rows * layout.stride_px, cols * layout.stride_px
    bottom, right = top + layout.input_px, left + layout.input_px
    total = _summed(valid)
    count = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    return np.asarray(count >= HALF * layout.input_px**2)


def cell_valid(valid: NDArray[np.bool_], patchset: PatchSet, block: Block) -> NDArray[np.bool_]:
    """Return which cells of a block have at least half of their area observed.

    Args:
        valid: Observed model pixels of the set's read, shape `model_shape`.
        patchset: The patches read for the block.
        block: The block.

    Returns:
        Shape (ny, nx) of the block.
    """
    minx, miny, maxx, maxy = patchset.read_bounds
    bminx, bminy, bmaxx, bmaxy = block.bounds
    rows, cols = block.shape
    if valid.all() and minx <= bminx and miny <= bminy and maxx >= bmaxx and maxy >= bmaxy:
        return np.ones(block.shape, dtype=np.bool_)
    pixel, cell = patchset.layout.pixel_m, block.cell_m
    down = axis_overlap(0.0, pixel, valid.shape[0], maxy - bmaxy, cell, rows)
    across = axis_overlap(0.0, pixel, valid.shape[1], bminx - minx, cell, cols)
    observed = down.T @ valid.astype(np.float64) @ across
    # A share of exactly one half counts; float noise must not decide it.
    return np.asarray(observed >= (HALF - 1e-9) * cell * cell)


def _summed(valid: NDArray[np.bool_]) -> NDArray[np.int32]:
    total = np.zeros((valid.shape[0] + 1, valid.shape[1] + 1), dtype=np.int32)
    np.cumsum(valid, axis=0, dtype=np.int32, out=total[1:, 1:])
    np.cumsum(total[1:, 1:], axis=1, out=total[1:, 1:])
    return total
