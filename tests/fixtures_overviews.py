"""Small stores of embeddings with their ledger, and what their overviews are to hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fixtures_maps import make_grid
from numpy.typing import NDArray

from s2s_map.embeddings.opening import open_ledger
from s2s_map.embeddings.overview_arrays import levels_of, write_with_block
from s2s_map.embeddings.overview_means import finest_cells
from s2s_map.embeddings.overview_schema import add_levels
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.outputs.ledger import BlockRecord
from s2s_map.pipeline.embed.overviews import OverviewCounts, build_overviews
from s2s_map.reporter import Reporter

SLOTS = ("m05-h06", "m10-h20")


def some_embeddings(
    shape: tuple[int, int], dim: int, valid: NDArray[np.bool_], slots: int = 1, seed: int = 0
) -> NDArray[np.float32]:
    """Return vectors no longer than 1, shape (time, ny, nx, dim), NaN where not valid."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((slots, *shape, dim)).astype(np.float32)
    values *= rng.random((slots, *shape, 1), np.float32) / np.linalg.norm(
        values, axis=-1, keepdims=True
    )
    values[:, ~valid] = np.nan
    return values


def write_embeddings(
    home: Path,
    values: NDArray[np.float32],
    block_cells: int,
    most_cells: int = 0,
    blocks: Sequence[str] = (),
) -> EmbeddingsStore:
    """Write embeddings as a run does, with the overviews that are written with blocks.

    Args:
        home: Folder of the output.
        values: Shape (time, ny, nx, dim).
        block_cells: Side of a block.
        most_cells: See `plan_levels`.
        blocks: Only these, by key, into a store that is there.
    """
    grid = make_grid((values.shape[1], values.shape[2]), block_cells=block_cells)
    path = home / "embeddings.zarr"
    if not path.exists():
        made = EmbeddingsStore.create(
            path, grid, values.shape[3], SLOTS[: len(values)], {"store_id": "a" * 32}
        )
        add_levels(made, most_cells)
    store = EmbeddingsStore.open(path)
    with open_ledger(home) as ledger:
        ledger.drop(blocks)
        for block in grid.iter_blocks():
            if blocks and block.key not in blocks:
                continue
            part = values[:, block.y, block.x]
            checksum = store.write_block(block, part)
            cells = [finest_cells(slot) for slot in part]
            ledger.record(
                BlockRecord(
                    block=block.key,
                    checksum=checksum,
                    patches=1,
                    valid_cells=int(cells[0][1].sum()),
                    seconds=1.0,
                    batch_size=1,
                    file_crc32=store.file_crc32(block),
                    overviews=write_with_block(levels_of(store), block, cells),
                )
            )
    return store


def build(store: EmbeddingsStore) -> OverviewCounts:
    """Make what is lacking of a store's overviews."""
    with open_ledger(store.path.parent) as ledger:
        return build_overviews(EmbeddingsStore.open(store.path), ledger, Reporter())


def exact_means(
    stored: NDArray[np.float16], factor: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return means of valid cells, their number, and the largest number among them.

    Args:
        stored: One time slot, shape (ny, nx, dim).
        factor: Finest cells per side of a cell.

    Returns:
        Shapes (rows, columns, dim), (rows, columns) and (rows, columns, dim).
    """
    ny, nx, dim = stored.shape
    rows, cols = -(-ny // factor), -(-nx // factor)
    padded = np.full((rows * factor, cols * factor, dim), np.nan)
    padded[:ny, :nx] = stored
    parts = padded.reshape(rows, factor, cols, factor, dim).swapaxes(1, 2)
    parts = parts.reshape(rows, cols, factor * factor, dim)
    valid = ~np.isnan(parts[..., 0])
    filled = np.where(valid[..., np.newaxis], parts, 0.0)
    counts = valid.sum(axis=-1)
    means = filled.sum(axis=2) / np.maximum(counts, 1)[..., np.newaxis]
    return means, counts, np.abs(filled).max(axis=2)


def all_files(folder: Path) -> dict[str, bytes]:
    """Every byte below a folder, by file."""
    found: dict[str, Any] = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return found
