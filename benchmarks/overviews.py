"""Overviews of embeddings: time to make, bytes, and time to read a screen at each level.

    python benchmarks/overviews.py                  # 100,000 cells of 1,024 numbers: 0.3 GB
    python benchmarks/overviews.py --times 1 4 16   # 16 times as many: 5 GB of disk, minutes
    python benchmarks/overviews.py --folder DIR     # where the stores are made, then removed

Blocks of 128 x 128 cells of sums of a few directions and noise, one in ten cells without data,
written one after the other by one thread. A screen is 320 x 200 cells, four pixels of 1,280 x 800
each, or the whole level where that is smaller; files are in the system's cache. Times are those of
the clock, and in brackets those of processors, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tiling import print_machine

from s2s_map.embeddings.opening import open_ledger
from s2s_map.embeddings.overview_arrays import levels_of, write_with_block
from s2s_map.embeddings.overview_means import finest_cells
from s2s_map.embeddings.overview_schema import add_levels
from s2s_map.embeddings.overviews import Level, open_levels
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.outputs.ledger import BlockRecord
from s2s_map.pipeline.embed.overviews import build_overviews
from s2s_map.pipeline.engine.executor import ThreadsExecutor
from s2s_map.reporter import Reporter
from s2s_map.tiling.grid import MapGrid

CELLS, DIM, CELL_M, BLOCK = 100_000, 1024, 640, 128
SCREEN = (200, 320)
MOST_CELLS = 256


def main() -> None:
    """Make a store of each size, and its overviews, and read them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, nargs="+", default=[1], help="times 100,000 cells")
    parser.add_argument("--folder", type=Path, help="for the stores")
    args = parser.parse_args()
    print_machine()
    for times in args.times:
        folder = Path(tempfile.mkdtemp(dir=args.folder))
        try:
            measure(folder, times * CELLS)
        finally:
            shutil.rmtree(folder)


def measure(home: Path, cells: int) -> None:
    """Print what overviews of so many cells take."""
    side = round(cells**0.5)
    bounds = (0.0, 0.0, side * CELL_M, side * CELL_M)
    grid = MapGrid.from_bounds(bounds, "EPSG:32721", CELL_M, BLOCK)
    store = add_levels(
        EmbeddingsStore.create(home / "embeddings.zarr", grid, DIM, ["all"], {}), MOST_CELLS
    )
    base, beside, above = Stopwatch(), Stopwatch(), Stopwatch()
    with open_ledger(home) as ledger:
        for block in grid.iter_blocks():
            values = some_values(block.shape, block.row * 1000 + block.col)
            with base:
                checksum = store.write_block(block, values)
                crc = store.file_crc32(block)
            with beside:
                slots = [finest_cells(slot) for slot in values]
                seals = write_with_block(levels_of(store), block, slots)
            valid = int(slots[0][1].sum())
            ledger.record(
                BlockRecord(block.key, checksum, 1, valid, 1.0, 1, file_crc32=crc, overviews=seals)
            )
        with above:
            found = build_overviews(store, ledger, Reporter(), ThreadsExecutor(1))
    finest, means = (
        size_of(home / "embeddings.zarr" / "embedding"),
        size_of(home / "embeddings.zarr" / "overviews"),
    )
    print(f"\n{side} x {side} cells, {found.levels} levels of {found.shards} shards")
    print(f"  embeddings: {finest / 1e6:,.0f} MB written in {base}")
    share = (beside.processor + above.processor) / base.processor
    print(
        f"  overviews:  {means / 1e6:,.0f} MB ({means / finest:.1%}) in {beside} with the blocks "
        f"and {above} above ({share:.0%} of the processors' time)"
    )
    for level in open_levels(home):
        first, again = read_screen(level), read_screen(level)
        ny, nx = (min(a, b) for a, b in zip(SCREEN, level.geobox.shape, strict=True))
        print(f"  level {level.factor:>3}: {nx} x {ny} cells in {first}, again in {again}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"  peak memory of the process so far {peak:.2f} GB")


def some_values(shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Return means of unit vectors, shape (1, ny, nx, dim), one in ten without data."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(0).standard_normal((24, DIM)).astype(np.float32)
    shares = rng.random((*shape, 24), np.float32) ** 4
    values = shares @ directions + 0.3 * rng.standard_normal((*shape, DIM)).astype(np.float32)
    values *= 0.7 / np.linalg.norm(values, axis=-1, keepdims=True)
    values[rng.random(shape) < 0.1] = np.nan
    return values[np.newaxis]


class Stopwatch:
    """Adds up what is done within, by the clock and by processors, in seconds."""

    def __init__(self) -> None:
        self.clock = self.processor = 0.0

    def __enter__(self) -> Stopwatch:
        self._began = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.clock += time.monotonic() - self._began[0]
        self.processor += time.process_time() - self._began[1]

    def __str__(self) -> str:
        return f"{self.clock:.2f} s [{self.processor:.2f}]"


def read_screen(level: Level) -> Stopwatch:
    """Read the middle of a level; return how long that took."""
    window = []
    for most, size in zip(SCREEN, level.geobox.shape, strict=True):
        first = max(0, (size - most) // 2)
        window.append(slice(first, min(first + most, size)))
    with Stopwatch() as watch:
        level.read(*window)
    return watch


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
