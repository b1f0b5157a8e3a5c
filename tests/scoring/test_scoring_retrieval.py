"""The published retrieval metric."""

from __future__ import annotations

import operator
import os
import platform
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from s2s_map.errors import DataError
from s2s_map.scoring import retrieval as module
from s2s_map.scoring.nearest import nearest
from s2s_map.scoring.retrieval import (
    own_ranks,
    recall_curve,
    retrieval,
    retrieval_estimates,
    retrieval_metrics,
)


def ranks_as_published(queries: NDArray[np.float64], gallery: NDArray[np.float64]) -> list[float]:
    """Row by row through pandas, as the published evaluation ranks."""
    frame = pd.DataFrame(queries @ gallery.T)
    return [float(row.rank(ascending=False, method="average")[i]) for i, row in frame.iterrows()]


def test_own_items_that_are_most_similar_rank_first() -> None:
    items = np.eye(20)
    assert own_ranks(items, items).tolist() == [1.0] + [1.0] * 19
    found = retrieval(items, items)
    assert (found.recall, found.median_rank, found.k) == (1.0, 1.0, 2.0)


def test_equals_share_the_mean_of_their_ranks() -> None:
    queries = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert own_ranks(queries, queries).tolist() == [1.5, 1.5, 1.0]


def test_recall_is_strict() -> None:
    queries = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert retrieval(queries, queries, k=1).recall == 0.0
    assert retrieval(queries, queries, k=1.5).recall == 1.0


@given(st.integers(2, 30), st.integers(0, 100))
def test_ranks_lie_within_the_gallery(size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    ranks = own_ranks(random.normal(size=(size, 4)), random.normal(size=(size, 4)))
    assert ((ranks >= 1) & (ranks <= size)).all()


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(1, 3), st.integers(0, 1000))
def test_ranks_are_those_of_pandas_with_many_ties(size: int, dim: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    queries = random.integers(-2, 3, (size, dim)).astype(float)
    gallery = random.integers(-2, 3, (size, dim)).astype(float)
    assert own_ranks(queries, gallery).tolist() == ranks_as_published(queries, gallery)


def exact_ranks(queries: NDArray[np.floating], gallery: NDArray[np.floating]) -> list[float]:
    """In fractions, which are never rounded."""
    exact = [[[Fraction(float(x)) for x in row] for row in array] for array in (queries, gallery)]
    found = []
    for i, query in enumerate(exact[0]):
        products = [sum(map(operator.mul, query, item), Fraction()) for item in exact[1]]
        above = sum(product > products[i] for product in products)
        found.append(above + (products.count(products[i]) + 1) / 2)
    return found


@settings(max_examples=60)
@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 2),
    st.data(),
)
def test_ranks_are_those_of_exact_products(
    size: int, dim: int, kind: type, few: int, data: st.DataObject
) -> None:
    # Multiples of 2^-24, of two or three values only or of any, a bit apart or far.
    numbers = st.integers(-few, few) if few else st.integers(-(1 << 24), 1 << 24)
    vectors = st.lists(numbers, min_size=dim, max_size=dim)
    both = st.lists(vectors, min_size=2 * size, max_size=2 * size)
    queries, gallery = np.array(data.draw(both), kind).reshape(2, size, dim) * kind(2.0**-24)
    scale = data.draw(st.sampled_from([0, 90, -90]))  # squares are beyond float32
    assert own_ranks(np.ldexp(queries, scale), np.ldexp(gallery, -scale)).tolist() == (
        exact_ranks(queries, gallery)
    )


def twins(kind: type, size: int = 333, dim: int = 24, seed: int = 3) -> tuple[Any, Any]:
    """Queries and items, of which many are the same, and many a bit apart."""
    random = np.random.default_rng(seed)
    queries, gallery = random.normal(size=(2, size, dim)).astype(kind)
    gallery[100:200] = gallery[:100]
    gallery[200:250] = np.nextafter(gallery[:50], kind(9))
    gallery[250:260] = queries[7] = 0
    return queries, gallery


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 1000),
    st.integers(50, 400),
    st.integers(50, 400),
    st.integers(1000, 9000),
    st.sampled_from([0.0, 1 / 32, 1.0]),
)
def test_neither_tiles_nor_the_order_of_items_change_ranks(
    kind: type, seed: int, rows: int, columns: int, numbers: int, few: float
) -> None:
    queries, gallery = twins(kind)
    whole = own_ranks(queries, gallery)
    assert whole[7] == (333 + 1) / 2  # nothing is nearer to nothing
    order = np.random.default_rng(seed).permutation(len(gallery))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("_ROWS", rows), ("_COLUMNS", columns), ("_NUMBERS", numbers), ("_FEW", few)
        ):  # fmt: skip
            patch.setattr(module, name, value)
        assert own_ranks(queries, gallery[order], np.argsort(order)).tolist() == whole.tolist()
        some = np.array([5, 300, 7])
        assert own_ranks(queries[some], gallery, some).tolist() == whole[some].tolist()


def test_equal_items_stay_equal_wherever_they_lie() -> None:
    # Each item lies in the gallery three times, in two tiles.
    random = np.random.default_rng(1)
    once = random.normal(size=(3001, 57)).astype(np.float32)
    once /= np.linalg.norm(once, axis=1, keepdims=True)
    queries = (once + 0.5 * random.normal(size=once.shape)).astype(np.float32)[:301]
    own = np.arange(301)
    single = own_ranks(queries, once, own)
    triple = own_ranks(queries, np.concatenate([once, once[::-1], once]), own)
    assert triple.tolist() == (3 * single - 1).tolist()


def test_items_that_are_all_the_same_share_one_rank() -> None:
    same = np.tile(np.random.default_rng(0).normal(size=64).astype(np.float32), (1500, 1))
    assert set(own_ranks(same, same)) == {750.5}
    assert set(own_ranks(0 * same, same)) == set(own_ranks(same, 0 * same)) == {750.5}


OTHER_KERNELS = {
    "OPENBLAS_CORETYPE": ("Nehalem", "Sandybridge", "Nehalem"),
    "ATEN_CPU_CAPABILITY": ("default", "avx2", "avx2"),
    "MKL_CBWR": ("COMPATIBLE", "AUTO", "COMPATIBLE"),
    "OPENBLAS_NUM_THREADS": ("1", "2", "4"),
}


@pytest.mark.parametrize("which", range(3))
def test_ranks_are_the_same_under_other_kernels(tmp_path: Path, which: int) -> None:
    random = np.random.default_rng(0)
    collapsed = 1 + 1e-6 * random.normal(size=(2, 400, 96))
    sides = {
        "single": twins(np.float32),
        "double": twins(np.float64),
        "alike": collapsed.astype(np.float32),
        "alike_double": collapsed,
    }
    np.savez(tmp_path / "sides.npz", **{name: np.stack(both) for name, both in sides.items()})
    code = """
import sys, numpy as np, threadpoolctl
from s2s_map.scoring.nearest import nearest
from s2s_map.scoring.retrieval import own_ranks
sides = np.load("sides.npz")
np.savez("ranks.npz", **{name: own_ranks(*sides[name]) for name in sides.files})
np.savez("near.npz", **{name: nearest(*sides[name], 5) for name in sides.files})
print(*(pool["architecture"] for pool in threadpoolctl.threadpool_info() if "architecture" in pool))
"""
    told = {name: values[which] for name, values in OTHER_KERNELS.items()}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | told,
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    if platform.machine() in {"x86_64", "AMD64"}:
        assert done.stdout.split() == [told["OPENBLAS_CORETYPE"]]
    ranks, near = np.load(tmp_path / "ranks.npz"), np.load(tmp_path / "near.npz")
    for name, both in sides.items():
        assert ranks[name].tolist() == own_ranks(*both).tolist(), name
        assert near[name].tolist() == nearest(*both, 5).tolist(), name


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_half_precision_is_ranked_as_what_it_holds(kind: type) -> None:
    random = np.random.default_rng(5)
    queries, gallery = (random.normal(size=(60, 16)).astype(kind) for _ in range(2))
    gallery[40:50] = gallery[:10]  # equal items, far apart
    wide = [array.astype(np.float64) for array in (queries, gallery)]
    assert own_ranks(queries, gallery).tolist() == ranks_as_published(*wide)
    for wrong in (np.nan, np.inf):
        gallery[59, 3] = wrong
        with pytest.raises(ValueError, match="gallery that are not finite"):
            own_ranks(queries, gallery)


@pytest.mark.parametrize("kind", ["different", "the same"])
def test_no_matrix_of_all_pairs_is_held(kind: str) -> None:
    """12,000 x 12,000 similarities would be 549 MiB, 1,500 x 12,000 exact ones 412 MiB."""
    code = """
import sys
from pathlib import Path
import numpy as np
from s2s_map.scoring.retrieval import own_ranks
def peak():
    # Not ru_maxrss, which a large parent raises: that would hide what is held here.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
items = np.random.default_rng(0).normal(size=(12_000, 8)).astype(np.float32)
queries = items
if sys.argv[1] == "the same":
    items[:] = items[0]
    queries = items[:1500]
own_ranks(items[:500], items[:500])
before = peak()
ranks = own_ranks(queries, items, np.arange(len(queries)))
print(round(peak() - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, kind],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert int(done.stdout) < 200


def test_queries_and_gallery_must_match() -> None:
    with pytest.raises(ValueError, match="must match"):
        own_ranks(np.eye(3), np.eye(4))
    with pytest.raises(ValueError, match="own items"):
        own_ranks(np.eye(3), np.eye(3), np.array([0, 1, 3]))
    with pytest.raises(ValueError, match="not finite"):
        own_ranks(np.eye(2), np.full((2, 2), np.nan))


def test_metrics_by_hand() -> None:
    ranks = np.arange(1.0, 21.0)
    found = retrieval_metrics(ranks, 20)
    # Strictly below a tenth of 20, so rank 1 alone; R@k counts up to k.
    assert found == {"R@10%": 0.05, "R@1": 0.05, "R@5": 0.25, "R@10": 0.5, "median rank": 10.5}
    assert "R@100" in retrieval_metrics(ranks, 101)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(DataError, match=r"10 samples are too few for R@10%; expected at least 11"):
        retrieval_metrics(np.ones(10), 10)


def test_intervals_hold_the_value_and_repeat() -> None:
    ranks = np.random.default_rng(0).integers(1, 300, 200).astype(float)
    found = retrieval_estimates(ranks, 300, samples=200)
    assert found == retrieval_estimates(ranks, 300, samples=200)
    for one in found.values():
        assert one.low <= one.value <= one.high
        assert one.low < one.high or one.value == one.low
    certain = retrieval_estimates(np.ones(50), 50, samples=20)["R@10%"]
    assert (certain.value, certain.low, certain.high) == (1.0, 1.0, 1.0)


def test_recall_curve_rises_from_nothing_to_all() -> None:
    share, recall = recall_curve(np.array([4.0, 1.0]), 4)
    assert share.tolist() == [0, 0.25, 1, 1]
    assert recall.tolist() == [0, 0.5, 1, 1]
