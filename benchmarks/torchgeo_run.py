"""Processor time of whole runs that walk and read blocks by torchgeo, against runs as they are.

Each run is a process of its own, with one thread; runs as they are and by torchgeo take turns. By
torchgeo: blocks come from `BlockSampler`, and are read through `ImageryDataset`.

python benchmarks/torchgeo_run.py [--pairs 3] [--cells 48 160] [--model plain]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

WEST, SOUTH = -54.80, -25.55


class Read:
    """A source that is read through a torchgeo dataset of this process."""

    def __init__(self, source: Any, crs: Any, pixel_m: float) -> None:
        from s2s_map.imagery.dataset import ImageryDataset

        self.source, self.crs, self.pixel_m = source, crs, pixel_m
        self.dataset = ImageryDataset(source, crs, pixel_m)

    def read(self, bounds: Any, shape: Any, crs: Any) -> Any:
        """Read a rectangle through the dataset."""
        from s2s_map.arrays import ImageBlock

        minx, miny, maxx, maxy = bounds
        sample = self.dataset[slice(minx, maxx, self.pixel_m), slice(miny, maxy, self.pixel_m)]
        return ImageBlock(sample["image"].numpy(), sample["valid"].numpy())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)


def walk_by_torchgeo() -> None:
    """Have the runs of this process walk and read by torchgeo."""
    from s2s_map.pipeline.embed import embed_blocks

    task, missing, jobs = embed_blocks.EmbedTask, embed_blocks.missing_blocks, []

    def embed(job: Any, *args: Any, **more: Any) -> Any:
        source = Read(job.source, job.grid.crs, job.layout.pixel_m)
        jobs.append(replace(job, source=source))
        return task(jobs[-1], *args, **more)

    def blocks(needed: Iterable[Any], done: Any) -> Iterator[Any]:
        from s2s_map.tiling.sampler import BlockSampler

        job, level = jobs[-1], jobs[-1].config.patches.level
        left = tuple(missing(needed, done))
        sampler = BlockSampler(job.source.dataset, job.grid, job.layout, level, blocks=left)
        yield from (block for block, _ in zip(sampler.blocks, sampler, strict=True))

    embed_blocks.EmbedTask, embed_blocks.missing_blocks = embed, blocks  # type: ignore[misc]


def one(by_torchgeo: bool, cells: int, model: str, out: str) -> None:
    """Run a square of the demo's scene in this process."""
    warnings.simplefilter("ignore")
    from s2s_map.config.run import RunConfig
    from s2s_map.pipeline.verbs.run import run

    if model == "plain":
        sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
        from fixtures_plain_model import MODEL

        model = MODEL
    if by_torchgeo:
        walk_by_torchgeo()
    side = 160 * cells / 111_320
    fields = {
        "output": out,
        "source": "iguacu_landsat8",
        "model": model,
        "region": [WEST, SOUTH, WEST + side, SOUTH + side],
        "queries": [{"name": "forest", "text": "birds and insects in a dense forest"}],
        "grid": {"block_cells": 32},
        "device": "cpu",
    }
    run(RunConfig.model_validate(fields))


def measured(by_torchgeo: bool, cells: int, model: str) -> float:
    """Return the processor seconds of such a process."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--torchgeo"] if by_torchgeo else []
        command = [sys.executable, __file__, "--one", str(cells), "--out", f"{folder}/out", *flags]
        command += ["--model", model]
        before = os.times()
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        after = os.times()
    return (
        after.children_user + after.children_system - before.children_user - before.children_system
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--cells", type=int, nargs="+", default=[48, 160], help="along a side")
    parser.add_argument("--model", default="s2s-mini", help="plain: one of numpy, without torch")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    parser.add_argument("--torchgeo", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        one(given.torchgeo, given.one, given.model, given.out)
        return
    for cells in given.cells:
        measured(False, cells, given.model)  # what is kept on disk: vocabulary, compiled modules
        pairs = [
            (measured(False, cells, given.model), measured(True, cells, given.model))
            for _ in range(given.pairs)
        ]
        plain, other = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratios = [b / a for a, b in pairs]
        print(
            f"{cells} x {cells} cells: {plain:.1f} s as it is, {other:.1f} s by torchgeo, "
            f"{statistics.median(ratios) - 1:+.1%} (pairs "
            f"{', '.join(f'{ratio - 1:+.1%}' for ratio in ratios)})",
            flush=True,
        )


if __name__ == "__main__":
    main()
