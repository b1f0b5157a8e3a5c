"""Ranks of 10,000 queries in a gallery of 10,000, against ranking every row with pandas.

    python benchmarks/retrieval.py
    python benchmarks/retrieval.py --whole            # pandas ranks every row too, not a sample
    python benchmarks/retrieval.py --size 1000        # smoke
    python benchmarks/retrieval.py --size 300000 --queries 2000 --rows 5   # a gallery of that size

Pandas ranks row by row as the published evaluation does: one DataFrame a row, sorted, ranked with
average ties. Without --whole it ranks --rows evenly spread rows and the time for all of them is
calculated, and called so. The ranks of both ways are compared.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import time

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from s2s_map.scoring.retrieval import own_ranks, retrieval_estimates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10_000, help="items of the gallery")
    parser.add_argument("--queries", type=int, help="queries; as many as items if unset")
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=200, help="rows that pandas ranks")
    parser.add_argument("--whole", action="store_true", help="pandas ranks all rows")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(
        f"{platform.processor() or platform.machine()}, {args.threads} threads, load "
        f"{os.getloadavg()[0]:.1f}; torch {torch.__version__}, pandas {pd.__version__}"
    )
    gallery = unit_vectors(args.size, args.dim, seed=0)
    count = min(args.queries or args.size, args.size)
    queries = gallery[:count] + 3 * unit_vectors(count, args.dim, seed=1)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    own = np.arange(count)

    began = time.perf_counter()
    ranks = own_ranks(queries, gallery, own)
    ours = time.perf_counter() - began
    began = time.perf_counter()
    found = retrieval_estimates(ranks, args.size)
    intervals = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{count:,} queries x {args.size:,} items x {args.dim}")
    print(f"  ours                    {ours:9.2f} s, peak memory of the process {peak:.2f} GiB")
    print(f"  bootstrap intervals     {intervals:9.2f} s")

    rows = np.arange(count) if args.whole else np.linspace(0, count - 1, args.rows).astype(int)
    began = time.perf_counter()
    similarity = queries[rows] @ gallery.T
    theirs = [pandas_rank(row, int(i)) for row, i in zip(similarity, rows, strict=True)]
    spent = time.perf_counter() - began
    whole = spent / len(rows) * count
    how = "measured" if args.whole else f"calculated from {len(rows)} rows in {spent:.2f} s"
    print(f"  pandas, row by row      {whole:9.2f} s ({how}): {whole / ours:.0f} times ours")
    differ = np.abs(np.array(theirs) - ranks[rows])
    print(
        f"  ranks that differ by more than 1 (rounding): {int((differ > 1).sum())} of {len(rows)}"
    )
    for name, one in found.items():
        print(f"  {name:<12} {one.value:.4f} [{one.low:.4f}, {one.high:.4f}]")


def pandas_rank(row: NDArray[np.float32], own: int) -> float:
    frame = pd.DataFrame({"similarity": row})
    frame = frame.sort_values("similarity", ascending=False)
    frame["rank"] = frame["similarity"].rank(ascending=False, method="average")
    return float(frame.loc[own, "rank"])


def unit_vectors(count: int, dim: int, seed: int) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


if __name__ == "__main__":
    main()
