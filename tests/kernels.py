"""Runs tests under the kernels of other processors: ``make numerics``.

How numbers are rounded depends on the order in which they are summed up, and that on the kernels
that torch, oneDNN, MKL and OpenBLAS choose for a processor, and on the number of threads. Each row
of `ROWS` makes one process choose as other machines would. The first four rows hold every value
once, and CI runs them; all twelve hold every pair of values, and ``make numerics ROWS=12`` runs
them. A process that did not get the kernels it asked for fails before its first test.

As a plugin (``-p kernels``) it sets the threads and reads the kernels from the libraries.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

ASKED = "S2S_MAP_KERNELS"
"""Where the plugin finds its row, as JSON."""

TESTS = {
    "scoring": "*",
    "models": "*",
    "encoding": "*",
    "training": "losses parts",
    "imagery": "lattice parts read reflectance resampling scaling source",
    "rasters": "cog maps style",
    "workflows/mini": "data losses train",
    "tiling": "blending",
}
"""Where numbers are computed, by room; not where servers, disks or command lines are tried, nor
cubes and source windows: GDAL and PROJ compute those, and have no kernels to choose from."""

SELECTED = "not (slow or parity or qgis or faults or e2e)"
WITHOUT = ("test_models_hub.py", "test_models_convert.py")

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GDAL_NUM_THREADS")
LEVELS = ("DEFAULT", "AVX2", "AVX512")


class Row(NamedTuple):
    """Kernels of one process; "" leaves a library its choice."""

    aten: str
    onednn: str
    mkl: str
    openblas: str
    threads: int

    def variables(self) -> dict[str, str]:
        """Environment variables by which the libraries are told."""
        told = {
            "ATEN_CPU_CAPABILITY": self.aten,
            "ONEDNN_MAX_CPU_ISA": self.onednn,
            "MKL_CBWR": self.mkl,
            "OPENBLAS_CORETYPE": self.openblas,
        }
        return {name: value for name, value in told.items() if value} | dict.fromkeys(
            THREADS, str(self.threads)
        )

    def __str__(self) -> str:
        libraries = ("ATen", "oneDNN", "MKL", "OpenBLAS")
        named = [f"{a} {b or 'free'}" for a, b in zip(libraries, self[:4], strict=True)]
        return f"{', '.join(named)}, threads {self.threads}"


# Not OpenBLAS' Haswell and Zen: its product of float64 (0.3.34) ends in a segmentation fault on an
# AMD EPYC of family 25 when it is told to use them, in numpy alone.
ROWS = (
    Row("avx512", "AVX2", "", "Nehalem", 1),
    Row("avx2", "SSE41", "", "", 2),
    Row("default", "SSE41", "", "Sandybridge", 4),
    Row("default", "AVX512_CORE", "COMPATIBLE", "SkylakeX", 2),
    Row("avx2", "AVX512_CORE", "", "Nehalem", 2),
    Row("default", "SSE41", "COMPATIBLE", "Nehalem", 4),
    Row("default", "AVX2", "COMPATIBLE", "", 1),
    Row("avx512", "AVX512_CORE", "COMPATIBLE", "", 4),
    Row("avx2", "AVX512_CORE", "COMPATIBLE", "Sandybridge", 1),
    Row("avx512", "AVX2", "COMPATIBLE", "Sandybridge", 2),
    Row("avx512", "SSE41", "COMPATIBLE", "SkylakeX", 1),
    Row("avx2", "AVX2", "", "SkylakeX", 4),
)

# What a processor without it cannot run.
_NEEDS = {
    "avx2": "AVX2", "AVX2": "AVX2",
    "avx512": "AVX512", "AVX512_CORE": "AVX512", "SkylakeX": "AVX512",
}  # fmt: skip


def possible(row: Row, level: str, x86: bool = True) -> Row:
    """Return a row without what a processor lacks: those libraries choose for themselves."""
    if not x86:
        return Row("default", "", "", "", row.threads)
    here = LEVELS.index(level)
    kept = [v if LEVELS.index(_NEEDS.get(v, "DEFAULT")) <= here else "" for v in row[:4]]
    return Row(*kept, row.threads)


def in_effect() -> dict[str, str]:
    """Return what the libraries of this process say they use, by the field of a `Row`."""
    import numpy as np
    import torch
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    pools = [pool for pool in threadpool_info() if pool["internal_api"] == "openblas"]
    found = {
        "aten": torch.backends.cpu.get_cpu_capability().lower(),
        "openblas": ", ".join(sorted({pool["architecture"] for pool in pools})),
        "threads": ", ".join(
            sorted({str(n) for n in (torch.get_num_threads(), *(p["num_threads"] for p in pools))})
        ),
    }

    def multiply() -> None:
        with torch.backends.mkl.verbose(torch.backends.mkl.VERBOSE_ON):
            torch.ones(8, 8) @ torch.ones(8, 8)

    def convolve() -> None:
        verbose = torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON)
        with verbose, torch.inference_mode():
            torch.nn.functional.conv2d(torch.ones(2, 16, 32, 32), torch.ones(16, 16, 3, 3))

    if torch.backends.mkl.is_available():
        found["mkl"] = ", ".join(sorted(set(re.findall(r"CNR:(\S+)", _printed(multiply)))))
    if torch.backends.mkldnn.is_available():
        kernels = re.findall(r",convolution,(?:jit|brg\w*):(\w+),", _printed(convolve))
        found["onednn"] = ", ".join(sorted({kernel.upper() for kernel in kernels}))
    return found


def _printed(call: Callable[[], None]) -> str:
    """What a library writes to the standard output, past Python."""
    sys.stdout.flush()
    with tempfile.TemporaryFile("w+") as file:
        before = os.dup(1)
        try:
            os.dup2(file.fileno(), 1)
            call()
        finally:
            os.dup2(before, 1)
            os.close(before)
        file.seek(0)
        return file.read()


def pytest_configure() -> None:
    """Set the threads of a row, and stop where a library did not do as it was told."""
    if ASKED not in os.environ:
        return
    import torch
    from threadpoolctl import threadpool_limits

    row = Row(*json.loads(os.environ[ASKED]))
    # More than the machine has cores, too, which no variable gives.
    torch.set_num_threads(row.threads)
    threadpool_limits(row.threads)
    found = in_effect()
    for name, asked in row._asdict().items():
        if asked and found.get(name) != str(asked):
            raise pytest.UsageError(f"{name} should use {asked}, but says {found.get(name)!r}")


def _selected(here: Path) -> list[Path]:
    found = []
    for room, names in TESTS.items():
        for name in names.split():
            pattern = f"test_{Path(room).name}_{name}.py"
            paths = sorted((here / room).rglob(pattern))
            if not paths:
                raise FileNotFoundError(f"no {pattern} below {room}: it moved, see TESTS")
            found += [path for path in paths if path.name not in WITHOUT]
    return found


def _best_level() -> str:
    """What torch would choose here if it was told nothing."""
    code = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    told = {k: v for k, v in os.environ.items() if k != "ATEN_CPU_CAPABILITY"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=told, check=True, capture_output=True, text=True
    )
    return done.stdout.strip() if done.stdout.strip() in LEVELS else "DEFAULT"


def _run(row: Row, given: list[str]) -> tuple[int, float, str]:
    began = time.perf_counter()
    here = Path(__file__).parent
    told = os.environ | row.variables() | {"PYTHONPATH": str(here), ASKED: json.dumps(row)}
    chosen = given or ["-m", SELECTED, *map(str, _selected(here))]
    command = [sys.executable, "-m", "pytest", "-p", "kernels", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--durations=0", "--durations-min=5", "--tb=short", *chosen],
        env=told, cwd=here.parent, check=False, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, time.perf_counter() - began, done.stdout + done.stderr


def main() -> None:
    """Run the selected tests under some rows; the exit code is 1 if any fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4, help="how many rows of the table")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1)
    parser.add_argument("tests", nargs="*", help="arguments of pytest in place of the usual tests")
    args = parser.parse_args()
    x86, level = platform.machine().lower() in {"x86_64", "amd64"}, _best_level()
    rows = list(dict.fromkeys(possible(row, level, x86) for row in ROWS[: args.rows]))
    print(f"numerics: this processor has {level}; {len(rows)} rows", flush=True)
    failed = 0
    with ThreadPoolExecutor(args.at_once) as pool:
        for row, (code, seconds, said) in zip(
            rows, pool.map(lambda row: _run(row, args.tests), rows), strict=True
        ):
            failed += code != 0
            last = said.strip().splitlines()[-1:] or [""]
            print(
                f"{'FAILED' if code else 'passed'} {row} ({seconds:.0f} s): {last[0]}", flush=True
            )
            if code:
                print(said, flush=True)
    raise SystemExit(int(failed > 0))


if __name__ == "__main__":
    main()
