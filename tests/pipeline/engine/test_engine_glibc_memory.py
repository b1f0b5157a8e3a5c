"""Workers reuse the memory of freed arrays, whatever Dask's nanny has set."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# Freed and taken again ten times: mapped again, each costs a fault for each of its pages.
_COUNT_FAULTS = """
import resource, numpy as np
from s2s_map.pipeline.engine.glibc_memory import reuse_freed_memory
changed = reuse_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(1 << 20, dtype=np.float64)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(changed, faults())
"""


def _count_faults(**environment: str) -> tuple[bool, int]:
    outside = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", _COUNT_FAULTS],
        env={**outside, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    changed, faults = done.stdout.split()
    return changed == "True", int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator of its own")
def test_what_dasks_nanny_sets_is_undone() -> None:
    changed, faults = _count_faults(MALLOC_TRIM_THRESHOLD_="65536")
    assert changed
    assert faults < 2048  # pages of one array; ten times as many without the change


@pytest.mark.parametrize("environment", [{}, {"MALLOC_TRIM_THRESHOLD_": "131072"}])
def test_what_somebody_chose_is_left(environment: dict[str, str]) -> None:
    changed, _ = _count_faults(**environment)
    assert not changed
