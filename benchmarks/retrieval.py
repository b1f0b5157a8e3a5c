"""Ranks of 10,000 queries in a gallery of 10,000, against ranking every row with pandas.

    python benchmarks/retrieval.py
    python benchmarks/retrieval.py --whole            # pandas ranks every row too, not a sample
    python benchmarks/retrieval.py --size 1000        # smoke
    python benchmarks/retrieval.py --size 300000 --queries 2000 --rows 5   # a gallery of that size

Pandas ranks row by row as the published evaluation does: one DataFrame a row, sorted, ranked with
average ties. Without --whole it ranks --rows evenly spread rows and the time for all of them is
calculated, and called so.

Queries are as hard as real ones: noise hides the own item so far that it ranks within the first
tenth for about two in three, and anywhere for the rest. Every fiftieth item lies in the gallery
twice. The ranks of both ways are compared in float64 (in a part of a large gallery), where they
must be equal, else the exit code is 1; and as they were timed, where ours do not depend on how
float32 rounds products, and those of pandas do: how far they are apart is printed. What that costs
is the processor time of ours over that of the same products, compared and counted as they come,
and over that of the products alone.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import resource
import time

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from s2s_map.scoring.retrieval import own_ranks, retrieval_estimates

_SIGNAL = 1.7
_TWICE = 50
_CHECKED, _CHECKED_ITEMS = 50, 20_000
"""Rows and items that are ranked in float64."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10_000, help="items of the gallery")
    parser.add_argument("--queries", type=int, help="queries; as many as items if unset")
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=200, help="rows that pandas ranks")
    parser.add_argument("--whole", action="store_true", help="pandas ranks all rows")
    parser.add_argument("--repeat", type=int, default=3, help="how often each way is timed")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(
        f"{platform.processor() or platform.machine()}, {args.threads} threads, load "
        f"{os.getloadavg()[0]:.1f}; torch {torch.__version__}, pandas {pd.__version__}"
    )
    gallery = unit_vectors(args.size, args.dim, seed=0)
    same_as = np.arange(args.size)
    same_as[_TWICE // 2 :: _TWICE] -= _TWICE // 2
    gallery[_TWICE // 2 :: _TWICE] = gallery[same_as[_TWICE // 2 :: _TWICE]]
    count = min(args.queries or args.size, args.size)
    # The similarity of the own item is about SIGNAL standard deviations of that of any other.
    noise = math.sqrt(args.dim) / _SIGNAL
    queries = gallery[:count] + noise * unit_vectors(count, args.dim, seed=1)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    own = np.arange(count)

    # One after the other, again and again: how busy the machine is changes.
    spent, walls = [], []
    for ranked in (products_only, rounded_ranks, own_ranks) * args.repeat:
        began, processor = time.perf_counter(), time.process_time()
        ranks = ranked(queries, gallery, own)
        walls.append(time.perf_counter() - began)
        spent.append(time.process_time() - processor)
    ours = min(walls[2::3])
    products, rounded, exact = np.array(spent).reshape(-1, 3).T
    began = time.perf_counter()
    found = retrieval_estimates(ranks, args.size)
    intervals = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{count:,} queries x {args.size:,} items x {args.dim}")
    print(f"  ours                    {ours:9.2f} s, peak memory of the process {peak:.2f} GiB")
    for name, other in (("as rounded", rounded), ("products alone", products)):
        more = exact / other - 1
        print(
            f"  ... more processor time than {name}: {np.median(more):+.1%} "
            f"(median of {args.repeat} pairs, {more.min():+.1%} to {more.max():+.1%})"
        )
    print(f"  bootstrap intervals     {intervals:9.2f} s")

    rows = np.arange(count) if args.whole else np.linspace(0, count - 1, args.rows).astype(int)
    began = time.perf_counter()
    similarity = queries[rows] @ gallery.T
    theirs = [pandas_rank(row, int(i)) for row, i in zip(similarity, rows, strict=True)]
    taken = time.perf_counter() - began
    whole = taken / len(rows) * count
    how = "measured" if args.whole else f"calculated from {len(rows)} rows in {taken:.2f} s"
    print(f"  pandas, row by row      {whole:9.2f} s ({how}): {whole / ours:.0f} times ours")
    moved = np.abs(np.array(theirs) - ranks[rows])
    print(
        f"  timed ranks of pandas moved by rounding: {int((moved > 0).sum())} of {len(rows)}, at "
        f"most by {moved.max():g}; they lie between {ranks[rows].min():g} and {ranks[rows].max():g}"
    )
    wide = gallery[:_CHECKED_ITEMS].astype(np.float64)
    few = np.linspace(0, min(count, len(wide)) - 1, _CHECKED).astype(int)
    hard = queries[few].astype(np.float64)
    exact = own_ranks(hard, wide, few)
    # Equal items get equal similarities, wherever they lie.
    similarity = (hard @ wide.T)[:, same_as[: len(wide)]]
    expected = [pandas_rank(row, int(i)) for row, i in zip(similarity, few, strict=True)]
    wrong = int((exact != np.array(expected)).sum())
    print(f"  ranks in float64 that are not those of pandas: {wrong} of {len(few)}")
    for name, one in found.items():
        print(f"  {name:<12} {one.value:.4f} [{one.low:.4f}, {one.high:.4f}]")
    if wrong:
        raise SystemExit(1)


def products_only(
    queries: NDArray[np.floating], gallery: NDArray[np.floating], _: NDArray[np.integer]
) -> None:
    """The matrix product of the same tiles, nothing counted."""
    for start in range(0, len(queries), 1024):
        for first in range(0, len(gallery), 8192):
            queries[start : start + 1024] @ gallery[first : first + 8192].T


def rounded_ranks(
    queries: NDArray[np.floating], gallery: NDArray[np.floating], own: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Ranks by products as they come, which hang on the processor."""
    found = np.empty(len(queries))
    for start in range(0, len(queries), 1024):
        rows = slice(start, start + 1024)
        mine = np.einsum("nd,nd->n", queries[rows], gallery[own[rows]])[:, None]
        above, equal = np.zeros((2, len(mine)))
        for first in range(0, len(gallery), 8192):
            product = queries[rows] @ gallery[first : first + 8192].T
            above += np.count_nonzero(product > mine, axis=1)
            equal += np.count_nonzero(product == mine, axis=1)
        found[rows] = above + (equal + 1) / 2
    return found


def pandas_rank(row: NDArray[np.floating], own: int) -> float:
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
