"""Similarity of a million cells with queries, beside the machine's copy bandwidth.

    python benchmarks/scoring.py
    python benchmarks/scoring.py --cells 20000 --repeats 1   # smoke

Reports gigabytes of embeddings read per second. The copy bandwidth is that of copying the same
array with all threads; it counts the bytes read, as the similarity does, and twice as many cross
the memory bus. The similarity uses one core a call: timed as one call over everything, and as one
call per core side by side, which is how blocks are scored. Ways are timed in turn and the best of
each counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from s2s_map.scoring.similarity import similarity

PLAIN_CELLS = 20_000
"""Cells for numpy's float16 product, which would take minutes for all."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--queries", type=int, nargs="+", default=[10, 110])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(
        f"{platform.processor() or platform.machine()}, {args.threads} threads, load "
        f"{os.getloadavg()[0]:.1f}; numpy {np.__version__}, torch {torch.__version__}"
    )
    values = cells(args.cells, args.dim)
    size = values.nbytes / 1e9
    print(f"{args.cells:,} cells x {args.dim} float16: {size:.2f} GB")
    target = torch.empty_like(torch.from_numpy(values))
    source = torch.from_numpy(values)
    for count in args.queries:
        queries = cells(count, args.dim).astype(np.float32)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        compare(values, queries, lambda: target.copy_(source), args.repeats)


def compare(
    values: NDArray[np.float16],
    queries: NDArray[np.float32],
    copy: Callable[[], object],
    repeats: int,
) -> None:
    size = values.nbytes / 1e9
    some = values[:PLAIN_CELLS]
    half = queries.astype(np.float16)
    copying, ours, together = [], [], []
    for _ in range(repeats):
        copying.append(seconds(copy))
        ours.append(seconds(lambda: similarity(values, queries)))
        together.append(seconds(lambda: side_by_side(values, queries)))
    plain = some.nbytes / 1e9 / seconds(lambda: some @ half.T)
    bandwidth = size / min(copying)
    exact = some[:1000].astype(np.float64) @ queries.T.astype(np.float64)
    error = np.abs(similarity(some[:1000], queries) - exact).max()
    print(f"\n{len(queries)} queries")
    print(f"  copy                    {bandwidth:7.2f} GB/s")
    print(f"  numpy float16 product   {plain:7.2f} GB/s ({len(some):,} cells)")
    for name, times in (("one core", ours), ("every core", together)):
        rate = size / min(times)
        print(
            f"  s2s_map, {name:<14} {rate:7.2f} GB/s, {rate / bandwidth:.0%} of the copy, "
            f"{len(values) / min(times) / 1e6:.2f} million cells/s"
        )
    print(f"  largest error of a similarity {error:.1e}")


def side_by_side(values: NDArray[np.float16], queries: NDArray[np.float32]) -> None:
    """Score as many parts as there are threads, each in its own."""
    count = torch.get_num_threads()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda part: similarity(part, queries), np.array_split(values, count)))


def cells(count: int, dim: int) -> NDArray[np.float16]:
    """Return embeddings of about unit length, made in pieces to save memory."""
    random = np.random.default_rng(0)
    found = np.empty((count, dim), dtype=np.float16)
    for start in range(0, count, 50_000):
        part = found[start : start + 50_000]
        part[:] = random.standard_normal(part.shape, dtype=np.float32) / np.sqrt(dim)
    return found


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
