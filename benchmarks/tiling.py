"""Patches per second: one read per block against torchgeo's one read per patch.

The same region of the bundled scene, patches of 2,560 m every 640 m (75 % overlap), handed as
uint8 or float batches to the same encoder. The encoder costs next to nothing (the mean
of the pixels), or is a real model (--model).

    python benchmarks/tiling.py [--model s2s-mini] [--side-km 30] [--stride 640]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from s2s_map.catalog.catalog import get_entry, load_catalog, scenes
from s2s_map.imagery.sources.raster.reading import read_block
from s2s_map.tiling.blending import Blender
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.patches import PatchLayout, cut

PATCH_M, INPUT_PX, BATCH = 2560.0, 224, 64
Batches = Iterator[object]
Encoder = Callable[[object], None]


@dataclass(frozen=True)
class Timing:
    """Patches that went through and what they took; CPU time includes worker processes."""

    name: str
    patches: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Patches per second."""
        return self.patches / self.seconds


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side-km", type=float, default=0.0, help="side of the region; 0: all")
    parser.add_argument("--stride", type=int, default=640, help="metres between patches")
    parser.add_argument("--block-cells", type=int, default=32, help="cells along a block")
    parser.add_argument("--model", help="also with this model, such as s2s-mini")
    parser.add_argument("--model-side-km", type=float, default=12.0, help="its region's side")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    args = parser.parse_args()
    print_machine()
    print(f"patches of {PATCH_M:g} m every {args.stride} m, batches of {BATCH}")

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchgeo.samplers  # noqa: F401  (seconds that are no part of the comparison)

    torch.set_num_threads(args.threads)
    compare("near-zero-cost encoder", mean_encoder(), INPUT_PX, args, args.side_km)
    if args.model:
        encoder, input_px = model_encoder(args.model)
        compare(args.model, encoder, input_px, args, args.model_side_km)
    print_blending(args)


def compare(
    title: str, encoder: Encoder, input_px: int, args: argparse.Namespace, side_km: float
) -> None:
    """Time torchgeo's ways and ours on one region."""
    bounds = region(side_km, args.stride)
    print(f"\n{title}: {bounds[2] - bounds[0]:.0f} x {bounds[3] - bounds[1]:.0f} m, {input_px} px")
    layout = PatchLayout(PATCH_M, input_px, args.stride)
    theirs = [
        run(f"torchgeo, {n} workers", torchgeo_batches(bounds, layout, n), encoder) for n in (0, 2)
    ]
    ours = run("s2s_map, one read per block", our_batches(bounds, layout, args), encoder)
    best = max(theirs, key=lambda timing: timing.rate)
    for timing in (*theirs, ours):
        print(
            f"  {timing.name:<28} {timing.patches:6d} patches {timing.seconds:8.2f} s "
            f"{timing.rate:9.1f} patches/s {timing.cpu_seconds / timing.patches * 1e3:7.2f} ms CPU"
        )
    print(f"  ours / {theirs[0].name}: {ours.rate / theirs[0].rate:.1f} x")
    print(f"  ours / {best.name} (its best): {ours.rate / best.rate:.1f} x")


def run(name: str, batches: Batches, encoder: Encoder) -> Timing:
    """Time an encoder over all batches, from opening the imagery on."""
    start, cpu, count = time.perf_counter(), cpu_seconds(), 0
    for batch in batches:
        encoder(batch)
        count += len(batch)  # type: ignore[arg-type]
    return Timing(name, count, time.perf_counter() - start, cpu_seconds() - cpu)


def cpu_seconds() -> float:
    """Return the CPU time of this process and its finished workers."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def our_batches(
    bounds: tuple[float, float, float, float], layout: PatchLayout, args: argparse.Namespace
) -> Batches:
    """Yield uint8 batches cut from one read per block."""
    import torch

    entry = get_entry("iguacu_landsat8", load_catalog())
    found = scenes(entry)
    grid = MapGrid.from_bounds(bounds, found[0].crs, args.stride, args.block_cells)
    for block in grid.blocks():
        patchset = layout.patches_for(block.bounds, "patch")
        image = read_block(found, patchset.read_bounds, patchset.read_shape, grid.crs, entry)
        for first in range(0, patchset.count, BATCH):
            yield torch.from_numpy(
                cut(image.pixels, patchset, range(first, min(first + BATCH, patchset.count)))
            )


def torchgeo_batches(
    bounds: tuple[float, float, float, float], layout: PatchLayout, workers: int
) -> Batches:
    """Yield float batches as torchgeo's RasterDataset and gridded sampler give them, resized."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.nn.functional import interpolate
        from torch.utils.data import DataLoader
        from torchgeo.datasets import RasterDataset, stack_samples
        from torchgeo.samplers import GriddedPatchSampler, Units

    import shapely

    entry = get_entry("iguacu_landsat8", load_catalog())
    dataset = RasterDataset([scenes(entry)[0].uri])
    # Its lattice lies between the region's edges: half a patch beyond the first centre.
    margin = (PATCH_M - layout.stride_m) / 2.0
    roi = shapely.box(*bounds).buffer(margin, join_style="mitre")
    sampler = GriddedPatchSampler(
        dataset, size=PATCH_M, stride=layout.stride_m, roi=roi, units=Units.CRS
    )
    loader = DataLoader(
        dataset, batch_size=BATCH, sampler=sampler, num_workers=workers, collate_fn=stack_samples
    )
    for sample in loader:
        yield interpolate(
            sample["image"],
            size=(layout.input_px, layout.input_px),
            mode="bilinear",
            align_corners=False,
        )


def region(side_km: float, stride: int) -> tuple[float, float, float, float]:
    """Return bounds inside the scene, on the stride's lattice, patches included."""
    scene = scenes(get_entry("iguacu_landsat8", load_catalog()))[0]
    margin = PATCH_M / 2.0
    minx, miny, maxx, maxy = scene.bounds
    low = [np.ceil((edge + margin) / stride) * stride for edge in (minx, miny)]
    high = [np.floor((edge - margin) / stride) * stride for edge in (maxx, maxy)]
    if side_km > 0:
        side = np.floor(side_km * 1000.0 / stride) * stride
        high = [min(top, bottom + side) for bottom, top in zip(low, high, strict=True)]
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def mean_encoder() -> Encoder:
    """Return an encoder that costs next to nothing."""

    def encode(batch: object) -> None:
        batch[:, :, ::16, ::16].float().mean(dim=(2, 3))  # type: ignore[index]

    return encode


def model_encoder(name: str) -> tuple[Encoder, int]:
    """Return the patch embedding of a model, and the side of its input in pixels."""
    import torch

    from s2s_map.models.registry import load_model

    model = load_model(name)

    def encode(batch: object) -> None:
        pixels = batch.round().clamp(0, 255).to(torch.uint8)  # type: ignore[attr-defined]
        model.embed_patches(pixels, model.resolution_for(PATCH_M), "patch")

    return encode, model.input_px


def print_blending(args: argparse.Namespace) -> None:
    """Time the blending of token embeddings onto 160 m cells."""
    layout, dim = PatchLayout(PATCH_M, INPUT_PX, args.stride), 256
    bounds = region(0.0, args.stride)
    grid = MapGrid.from_bounds(bounds, "EPSG:32621", 160, 128)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(BATCH, layout.tokens**2, dim)).astype(np.float32)
    valid = np.ones((BATCH, layout.tokens**2), dtype=np.bool_)
    count, start, cpu = 0, time.perf_counter(), time.process_time()
    for block in grid.blocks():
        patchset = layout.patches_for(block.bounds, "token")
        blender = Blender(block, layout, patchset, dim)
        for first in range(0, patchset.count, BATCH):
            indices = range(first, min(first + BATCH, patchset.count))
            blender.add(indices, vectors[: len(indices)], valid[: len(indices)])
        blender.result()
        count += patchset.count
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    whole = layout.patches_for(grid.bounds, "token").count
    print(
        f"\nblending {layout.tokens**2} tokens of {dim} dims a patch onto cells of 160 m: "
        f"{count} patches in {wall:.2f} s ({cpu:.2f} s CPU), {cpu / count * 1e3:.2f} ms a patch"
    )
    print(f"  patches with halos / without, at blocks of 128 cells: {count / whole:.2f}")


def print_machine() -> None:
    """Print what this runs on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{model}, {os.cpu_count()} cores, load {load:.1f}; {platform.platform()}")
    packages = ("torch", "torchgeo", "rasterio", "numpy")
    print(
        f"Python {platform.python_version()}, " + ", ".join(f"{p} {version(p)}" for p in packages)
    )


if __name__ == "__main__":
    main()
