"""What checking embeddings costs who reads them, as a share of the time without.

    python benchmarks/checking.py
    python benchmarks/checking.py --side 128 --dim 64 --repeats 1   # smoke

Writes two stores of the same blocks, with checksums in the chunks as they are made now and without
as they were, and compares their sizes and the times to write, to read, and to score them: with the
checks (the file's CRC-32C, or for older stores the SHA-256 of the values) and without. Scoring is
that of a query with a background vocabulary. Ways are timed in turn, and the best of each counts.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from odc.geo.crs import CRS

from s2s_map.embeddings import schema
from s2s_map.embeddings.sealed import SealedEmbeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.outputs.block_seal import BlockSeal
from s2s_map.scoring.probability import SoftmaxMethod, score_concepts
from s2s_map.tiling.grid import MapGrid

BLOCK = 256


class Unchecked(SealedEmbeddings):
    """Believes whatever is there."""

    def damage(self, block: object, *, thorough: bool = False) -> str:
        """Find nothing."""
        return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=1024, help="cells of a side")
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--texts", type=int, default=600, help="of the background vocabulary")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    bounds = (0.0, 0.0, args.side * 100.0, args.side * 100.0)
    grid = MapGrid.from_bounds(bounds, CRS("EPSG:32621"), 100, BLOCK)
    with tempfile.TemporaryDirectory() as name:
        now, older = Path(name) / "now.zarr", Path(name) / "older.zarr"
        seals = filled(now, grid, args.dim)
        with patch.object(schema, "Crc32cCodec", lambda: None), patched_compressors():
            filled(older, grid, args.dim)
        print(f"size {size(now) / size(older):.5f} of that without checksums")
        compare_reading(now, older, seals, args)


def patched_compressors() -> object:
    create = schema.zarr.Group.create_array

    def without(group: object, *args: object, **kwargs: object) -> object:
        if "compressors" in kwargs:
            kwargs["compressors"] = [c for c in kwargs["compressors"] if c is not None]
        return create(group, *args, **kwargs)

    return patch.object(schema.zarr.Group, "create_array", without)


def filled(path: Path, grid: MapGrid, dim: int) -> dict[str, BlockSeal]:
    store = EmbeddingsStore.create(path, grid, dim, ["any"], {})
    rng, seals, seconds = np.random.default_rng(0), {}, 0.0
    for block in grid.blocks():
        values = rng.standard_normal((1, *block.shape, dim), dtype=np.float32)
        values /= np.linalg.norm(values, axis=-1, keepdims=True)
        began = time.perf_counter()
        checksum, crc = store.write_block(block, values), store.file_crc32(block)
        seconds += time.perf_counter() - began
        seals[block.key] = BlockSeal(checksum, block.cells, crc)
    print(f"{path.stem}: {size(path) / 1e9:.2f} GB written in {seconds:.1f} s")
    return seals


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path / "embedding/c").rglob("*") if file.is_file())


def compare_reading(
    now: Path, older: Path, seals: dict[str, BlockSeal], args: argparse.Namespace
) -> None:
    values_only = {key: BlockSeal(seal.checksum, seal.valid_cells) for key, seal in seals.items()}
    rng = np.random.default_rng(1)
    background = rng.standard_normal((args.texts, args.dim), dtype=np.float32)
    background /= np.linalg.norm(background, axis=1, keepdims=True)
    ways: dict[str, Callable[[], SealedEmbeddings]] = {
        "without checks": lambda: Unchecked.seal(EmbeddingsStore.open(older), seals),
        "chunks' checksums": lambda: Unchecked.seal(EmbeddingsStore.open(now), seals),
        "and the file's": lambda: SealedEmbeddings.seal(EmbeddingsStore.open(now), seals),
        "older: of values": lambda: SealedEmbeddings.seal(EmbeddingsStore.open(older), values_only),
    }
    for title, work in (("reading", read_all), ("scoring a query", score_all)):
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(args.repeats):
            for way, opened in ways.items():
                store = opened()
                began = time.process_time()
                work(store, background)
                best[way] = min(best[way], time.process_time() - began)
        base = best["without checks"]
        print(f"{title}: {base:.2f} s of processor time without checks")
        for way, seconds in list(best.items())[1:]:
            print(f"  {way}: {seconds / base - 1:+.1%}")


def read_all(store: SealedEmbeddings, _: NDArray[np.float32]) -> None:
    side = store.grid.shape[0]
    for top in range(0, side, BLOCK):
        store.read_cells(0, slice(top, min(top + BLOCK, side)), slice(0, store.grid.shape[1]))


def score_all(store: SealedEmbeddings, background: NDArray[np.float32]) -> None:
    side = store.grid.shape[0]
    keep = np.ones((1, len(background)), dtype=np.bool_)
    for top in range(0, side, BLOCK):
        rows = slice(top, min(top + BLOCK, side))
        values = store.read_cells(0, rows, slice(0, store.grid.shape[1]))
        score_concepts(values, background[:1], background, keep, SoftmaxMethod(0.05))


if __name__ == "__main__":
    main()
