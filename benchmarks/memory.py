"""Peak memory of real runs against what the plan says.

    python benchmarks/memory.py
    python benchmarks/memory.py --sides 4000 --cells 160      # smoke

Each run is a process of its own, on a raster of noise over gradients that is made in a temporary
folder (8 bit, 10 m, deflated tiles of 512 pixels), with s2s-mini and patches without overlap. Its
peak is what the system says (VmHWM; ru_maxrss would begin with the parent's), the plan's is
`Plan.memory_bytes`: an upper bound.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
import yaml
from rasterio.transform import from_origin
from rasterio.windows import Window

_TILE = 512

_RUN = """
import json, re, sys
from s2s_map import load_run_config, make_plan, resolve, run
config = load_run_config(sys.argv[1])
planned = make_plan(resolve(config)).memory_bytes
run(config)
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
print(json.dumps({"planned": planned, "peak": peak}))
"""


def main() -> None:
    """Run each setting and print a line of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[4000, 10_000, 20_000])
    parser.add_argument("--cells", type=int, nargs="+", default=[160, 40], help="metres")
    parser.add_argument("--blocks", type=int, nargs="+", default=[128, 256], help="cells")
    parser.add_argument("--queries", type=int, nargs="+", default=[1, 5])
    args = parser.parse_args()
    print("| raster | cell | block | queries | plan, MB | peak, MB | peak / plan |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory(prefix="s2s-map-memory-") as name:
        for side in args.sides:
            write_scene(Path(name) / "scene.tif", side)
            for cell_m in args.cells:
                for block in args.blocks:
                    for queries in args.queries:
                        found = measure(Path(name), cell_m, block, queries)
                        planned, peak = found["planned"] / 1e6, found["peak"] / 1e6
                        print(
                            f"| {side:,} | {cell_m} | {block} | {queries} | {planned:,.0f} "
                            f"| {peak:,.0f} | {peak / planned:.2f} |",
                            flush=True,
                        )


def measure(folder: Path, cell_m: int, block: int, queries: int) -> dict[str, int]:
    """Run one setting in a process of its own; returns bytes planned and at the peak."""
    entry = {
        "type": "raster",
        "title": "Noise",
        "uri": "scene.tif",
        "sensor": {"gsd_m": 10.0, "patch_m": 2560.0},
        "licence": "CC0-1.0",
        "attribution": "nobody",
    }
    catalog = folder / "data_catalog.yaml"
    catalog.write_text(yaml.safe_dump({"noise": entry}), encoding="utf-8")
    with tempfile.TemporaryDirectory(dir=folder) as out:
        config = {
            "output": out,
            "source": "noise",
            "queries": [{"text": f"waves number {n}"} for n in range(queries)],
            "grid": {"cell_m": cell_m, "block_cells": block},
            "patches": {"stride_m": 2560},
        }
        path = folder / "job.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-c", _RUN, str(path)],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    answer: dict[str, int] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def write_scene(path: Path, side: int) -> None:
    """Write a square raster strip by strip."""
    rng = np.random.default_rng(0)
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "width": side,
        "height": side,
        "crs": "EPSG:32721",
        "transform": from_origin(400_000.0, 7_400_000.0, 10.0, 10.0),
        "tiled": True,
        "blockxsize": _TILE,
        "blockysize": _TILE,
        "compress": "deflate",
        "zlevel": 1,
    }
    gradient = np.linspace(1, 200, side, dtype=np.float32)
    with rasterio.open(path, "w", **profile) as target:
        for top in range(0, side, _TILE):
            rows = min(_TILE, side - top)
            noise = rng.integers(0, 50, (3, rows, side), dtype=np.uint8)
            window = Window(0, top, side, rows)
            target.write((noise + gradient).astype(np.uint8), window=window)


if __name__ == "__main__":
    main()
