"""What the model is shown where a patch has no data: the imagery beside it, mirrored.

The mean colour of what is valid, as before, made a ring a cell wide at every border of the imagery:
a flat half of a patch looks like water or a field (docs/adr/0096, benchmarks/borders.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

METHOD = "mirrored"
"""Its name in the identity of embeddings."""

_GREY = 127
# Each pass at least doubles the width of a strip; ragged holes may need more, and then take the
# nearest pixel.
_PASSES = 8


def fill_invalid(pixels: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return patches whose invalid pixels mirror their valid ones.

    Each invalid pixel gets the value as far on the other side of the valid pixel nearest to it.
    Where nothing is known there, what was filled is mirrored again. It depends on the patch alone,
    not on the block it is read with, and copies whole levels: the same bytes everywhere.

    Args:
        pixels: (B, 3, y, x).
        valid: (B, y, x); a patch without a valid pixel becomes mid-grey.

    Returns:
        (B, 3, y, x), contiguous; a copy if anything was filled.
    """
    if valid.all():
        return np.ascontiguousarray(pixels)
    filled = np.array(pixels)
    for i in np.flatnonzero(~valid.all(axis=(1, 2))):
        rows, cols = valid[i].any(axis=1), valid[i].any(axis=0)
        if not rows.any():
            filled[i] = _GREY
        elif _is_run(rows) and _is_run(cols) and valid[i].sum() == rows.sum() * cols.sum():
            # A rectangle, as at the border of a scene: the same by folding, many times as fast.
            filled[i] = filled[i][:, _folded(rows)[:, None], _folded(cols)]
        else:
            _mirror(filled[i], valid[i])
    return filled


def _is_run(there: NDArray[np.bool_]) -> bool:
    return int(np.ptp(np.flatnonzero(there))) + 1 == int(there.sum())


def _folded(there: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return for each place of an axis the one in the run that it is a mirror image of."""
    first, last = np.flatnonzero(there)[[0, -1]]
    turns = max(1, last - first)
    along = np.mod(np.arange(len(there)) - first, 2 * turns)
    return np.asarray(first + np.where(along > turns, 2 * turns - along, along) * (last > first))


def _mirror(patch: NDArray[np.uint8], valid: NDArray[np.bool_]) -> None:
    known = valid.copy()
    shape = np.array(known.shape)[:, None]
    for _ in range(_PASSES):
        missing = np.stack(np.nonzero(~known))
        if not missing.size:
            return
        nearest = _nearest(known)[:, *missing]
        source = 2 * nearest - missing
        seen = ((source >= 0) & (source < shape)).all(axis=0)
        seen[seen] = known[*source[:, seen]]
        if not seen.any():
            break
        to, of = missing[:, seen], source[:, seen]
        patch[:, *to] = patch[:, *of]
        known[*to] = True
    missing = np.stack(np.nonzero(~known))
    patch[:, *missing] = patch[:, *_nearest(known)[:, *missing]]


def _nearest(known: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return row and column of the known pixel nearest to each pixel, shape (2, y, x)."""
    found: NDArray[np.int32] = distance_transform_edt(
        ~known, return_distances=False, return_indices=True
    )
    return found
