"""Which patches of a block say anything of the cells that are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from s2s_map.tiling.blending import touched_cells
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.patches import Level, PatchSet


def wanted_patches(
    patchset: PatchSet, block: Block, inside: NDArray[np.bool_], level: Level
) -> NDArray[np.bool_]:
    """Return which patches touch a cell inside the region.

    At level "patch" a cell is one patch. At level "token" a patch touches every cell that
    shares area with it, as all its tokens have a weight above 0: leaving the others out changes no
    byte of the cells inside.

    Args:
        patchset: The patches that the block needs.
        block: The block.
        inside: Which of its cells are in the region, shape (ny, nx).
        level: "token" or "patch".

    Returns:
        Shape (patches,), in the order of the set.
    """
    if inside.all():
        return np.ones(patchset.count, dtype=np.bool_)
    if level == "patch":
        return np.array(inside, dtype=np.bool_).reshape(patchset.count)
    layout, cell = patchset.layout, block.cell_m
    rows, cols = block.shape
    west, north = round(block.bounds[0] / cell), round(block.bounds[3] / cell)
    # Rows run south: on the mirrored axis a patch starts at minus its northern edge.
    top, bottom = _ends(
        [-(layout.edge(k) + layout.patch_m) for k in patchset.y_index], patchset, cell, -north, rows
    )
    left, right = _ends([layout.edge(k) for k in patchset.x_index], patchset, cell, west, cols)
    total = np.zeros((rows + 1, cols + 1), dtype=np.int64)
    total[1:, 1:] = inside.cumsum(axis=0).cumsum(axis=1)
    count = (
        total[np.ix_(bottom, right)]
        - total[np.ix_(top, right)]
        - total[np.ix_(bottom, left)]
        + total[np.ix_(top, left)]
    )
    return np.asarray(count > 0).reshape(-1)


def _ends(
    edges: Sequence[float], patchset: PatchSet, cell: float, first: int, cells: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first cell of the block that each patch touches, and the one after its last."""
    spans = np.array([touched_cells(edge, patchset.layout, cell) for edge in edges]) - first
    low, high = np.clip(spans, 0, cells).astype(np.intp).T
    return low, high
