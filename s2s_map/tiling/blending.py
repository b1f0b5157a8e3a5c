"""Token embeddings of overlapping patches, averaged onto cells by overlap area and fade weight.

The weight of a token in a cell is the area both share times the token's fade weight within its
patch, which falls off towards the patch's edge, where the encoder has seen the least context.
Both factors are separable, so a patch costs two small matrix products.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from s2s_map.tiling.blocks import Block
from s2s_map.tiling.patches import Indices, PatchLayout, PatchSet

# Less weight than this share of a cell (whose tokens, faded to the utmost, give more) is rounding.
_NO_WEIGHT = 1e-7
# Multiplications per matrix product. OpenBLAS gives products above 2**18 to several threads, which
# for so little work takes twenty times as long on a busy machine.
_PRODUCT = 2**17


def fade_weights(tokens: int) -> NDArray[np.float64]:
    """Return the fade weights of tokens along one side of a patch.

    A raised cosine (Hann window) sampled at token centres: ``sin(pi (j + 0.5) / tokens) ** 2``,
    above 0 everywhere, so that the outermost token counts where nothing else does, and adding
    up to a constant for patches at half, a quarter ... of a patch from each other.

    Returns:
        Shape (tokens,), at most 1.
    """
    return np.sin(np.pi * (np.arange(tokens) + 0.5) / tokens) ** 2


def axis_overlap(
    start: float, step: float, count: int, cell_start: float, cell: float, cells: int
) -> NDArray[np.float64]:
    """Return the length that each of a row of equal intervals shares with each cell of an axis.

    Args:
        start: Lower edge of the first interval, metres.
        step: Length of an interval, metres.
        count: Number of intervals.
        cell_start: Lower edge of the first cell, metres.
        cell: Length of a cell, metres.
        cells: Number of cells.

    Returns:
        Metres, shape (count, cells).
    """
    low = start + np.arange(count)[:, None] * step
    cell_low = cell_start + np.arange(cells)[None, :] * cell
    shared = np.minimum(low + step, cell_low + cell) - np.maximum(low, cell_low)
    return np.asarray(np.maximum(shared, 0.0))


def touched_cells(edge: float, layout: PatchLayout, cell: float) -> tuple[int, int]:
    """Return the first cell of an axis that a patch shares length with, and the one after the last.

    Args:
        edge: Lower edge of the patch, metres.
        layout: Its size.
        cell: Length of a cell, metres; cell 0 begins at 0.
    """
    return math.floor(edge / cell), math.ceil((edge + layout.patch_m) / cell)


class _Axis:
    """The weights of one patch along one axis, on every cell of the lattice that it touches.

    Cells outside the block are weighted too and dropped when adding up, so that the products
    have the same shape, and thus the same bytes, whichever block the cell is computed in.
    """

    def __init__(
        self, edge: float, layout: PatchLayout, cell: float, first_cell: int, cells: int
    ) -> None:
        low, high = touched_cells(edge, layout, cell)
        overlap = axis_overlap(edge, layout.token_m, layout.tokens, low * cell, cell, high - low)
        weights = overlap * fade_weights(layout.tokens)[:, None] / cell
        self.weights: NDArray[np.float32] = np.ascontiguousarray(weights.T, dtype=np.float32)
        begin, end = max(low, first_cell), min(high, first_cell + cells)
        self.empty = end <= begin
        self.source = slice(begin - low, end - low)
        self.target = slice(begin - first_cell, end - first_cell)


class Blender:
    """Adds up the token embeddings of a block's patches and normalises them by their weights.

    The same patches in the same order give the same bytes in whatever batches they come. A cell
    gets the same bytes from whichever block it lies in, if patches come in the set's order.

    Args:
        block: The cells to fill.
        layout: Size and spacing of the patches.
        patchset: The patches that overlap the block.
        dim: Length of an embedding.
    """

    def __init__(self, block: Block, layout: PatchLayout, patchset: PatchSet, dim: int) -> None:
        self._patchset = patchset
        self._tokens = layout.tokens
        cell = block.cell_m
        rows, cols = block.shape
        west, north = round(block.bounds[0] / cell), round(block.bounds[3] / cell)
        # Rows run south: on the mirrored axis a patch starts at minus its northern edge.
        self._rows = [
            _Axis(-(layout.edge(k) + layout.patch_m), layout, cell, -north, rows)
            for k in patchset.y_index
        ]
        self._cols = [_Axis(layout.edge(k), layout, cell, west, cols) for k in patchset.x_index]
        self._sum: NDArray[np.float32] = np.zeros((rows, cols, dim), dtype=np.float32)
        self._weight: NDArray[np.float32] = np.zeros((rows, cols), dtype=np.float32)

    def add(
        self,
        indices: Indices,
        token_vectors: NDArray[np.float32],
        token_valid: NDArray[np.bool_],
    ) -> None:
        """Add the tokens of B patches.

        Args:
            indices: Indices of the patches in the set.
            token_vectors: Unit embeddings, shape (B, tokens * tokens, dim), tokens row by row
                from the north-west.
            token_valid: Which tokens count, shape (B, tokens * tokens).

        Raises:
            ValueError: For arrays of other shapes.
        """
        rows, cols = self._patchset.rows_cols(indices)
        t, dim = self._tokens, self._sum.shape[2]
        if token_vectors.shape != (len(rows), t * t, dim) or token_valid.shape != (
            len(rows),
            t * t,
        ):
            raise ValueError(
                f"{len(rows)} patches of {t * t} tokens and {dim} dims, got vectors "
                f"{token_vectors.shape} and validity {token_valid.shape}"
            )
        for i, (row, col) in enumerate(zip(rows.tolist(), cols.tolist(), strict=True)):
            if token_valid[i].any():
                self._add_patch(self._rows[row], self._cols[col], token_vectors[i], token_valid[i])

    def result(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the weighted means and their weights; call it once, after all patches.

        Returns:
            Values of shape (ny, nx, dim), NaN where there is no weight, and weights of shape
            (ny, nx), in cells' areas of fully weighted tokens. The values are not unit vectors:
            a query's dot product with them is the mean of its similarities to the tokens.
        """
        seen = self._weight > _NO_WEIGHT
        divisor = np.where(seen, self._weight, np.float32(np.nan))
        self._sum /= divisor[:, :, None]
        return self._sum, self._weight

    def _add_patch(
        self, y: _Axis, x: _Axis, vectors: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> None:
        if y.empty or x.empty:
            return
        t = self._tokens
        if not valid.all():
            vectors = np.where(valid[:, None], vectors, np.float32(0.0))
        grid = np.asarray(vectors, dtype=np.float32).reshape(t, t, -1)
        target = self._sum[y.target, x.target]
        step = max(1, _PRODUCT // (t * max(len(y.weights), len(x.weights))))
        for start in range(0, grid.shape[2], step):
            dims = slice(start, start + step)
            # (token column, cell row, dim), then (cell row, cell column, dim).
            down = np.matmul(y.weights, grid[:, :, dims].swapaxes(0, 1))
            blended = np.matmul(x.weights, down.swapaxes(0, 1))
            target[:, :, dims] += blended[y.source, x.source]
        weight = y.weights @ valid.reshape(t, t).astype(np.float32) @ x.weights.T
        self._weight[y.target, x.target] += weight[y.source, x.source]
