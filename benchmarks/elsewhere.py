"""What people do without s2s_map, with the same encoder and region; used by scale.py.

Both are written as their users would write them well: torchgeo with worker processes that read and
resize, dask with one resize per chunk and patches cut as views. Patches and the kernel that resizes
them (cubic, antialiased) are those of s2s_map, and their embeddings are compared with its store.
Times are given twice: with the embeddings in memory, and with these written to a Zarr of float16 in
chunks of a block as well. s2s_map's are stored, forced to the disk block by block, and recorded.
"""

from __future__ import annotations

import shutil
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from engine import BATCH, Region
from numpy.typing import NDArray
from synthetic import COSTED, DIM, GSD_M, INPUT_PX, NORTH, PATCH_M, WEST

TORCH_BATCH = 64
KERNEL: dict[str, Any] = {"mode": "bicubic", "antialias": True}
# Ours rounds to 8 bit between rows and columns, as Pillow does, and stores in float16.
_ALIKE = 0.9999


@dataclass(frozen=True)
class Elsewhere:
    """What another way took.

    Attributes:
        memory_s: Until all embeddings are in memory, seconds.
        zarr_s: Until they are in a Zarr as well, seconds.
    """

    memory_s: float
    zarr_s: float


def torchgeo_seconds(region: Region, workers: int) -> Elsewhere:
    """Time torchgeo's gridded sampler in a DataLoader."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.utils.data import DataLoader
        from torchgeo.datasets import RasterDataset, stack_samples
        from torchgeo.samplers import GriddedPatchSampler, Units

    import shapely
    import torch

    torch.set_num_threads(1)
    encoder = COSTED.load("cpu")
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = RasterDataset([str(region.folder / "country.tif")], transforms=_resized)
        margin = (PATCH_M - region.stride_m) / 2.0
        roi = shapely.box(WEST, NORTH - region.side_m, WEST + region.side_m, NORTH)
        sampler = GriddedPatchSampler(
            dataset,
            size=PATCH_M,
            stride=region.stride_m,
            roi=roi.buffer(margin, join_style="mitre"),
            units=Units.CRS,
        )
        loader: Any = DataLoader(
            dataset,
            batch_size=TORCH_BATCH,
            sampler=sampler,
            num_workers=workers,
            collate_fn=stack_samples,
        )
        found = np.concatenate([encoder.embed(sample["image"].numpy()) for sample in loader])
    side = region.side_m // region.stride_m
    if len(found) != side**2:
        raise ValueError(f"torchgeo gave {len(found)} patches")
    # Its sampler goes from the south.
    return _finished(found.reshape(side, side, DIM)[::-1], region, began, 1)


def _resized(sample: dict[str, Any]) -> dict[str, Any]:
    import torch
    from torch.nn.functional import interpolate

    size = (INPUT_PX, INPUT_PX)
    image = interpolate(sample["image"][None], size=size, **KERNEL)[0]
    return {**sample, "image": image.round().clamp(0, 255).to(torch.uint8)}


def dask_seconds(region: Region, threads: int) -> Elsewhere:
    """Time map_overlap over a raster opened by rioxarray."""
    import dask.array
    import rioxarray
    import torch

    torch.set_num_threads(1)
    began = time.perf_counter()
    step = region.stride_m // GSD_M
    depth = (PATCH_M - region.stride_m) // 2 // GSD_M
    chunk = region.block_cells * step
    opened: Any = rioxarray.open_rasterio(
        region.folder / "country.tif", chunks={"band": 3, "y": chunk, "x": chunk}
    )
    # The region with the half patch around it: the edge chunks need no invented pixels.
    first = PATCH_M // GSD_M - depth
    size = region.side_m // GSD_M + 2 * depth
    pixels = opened.data[:, first : first + size, first : first + size]
    inner = region.side_m // GSD_M
    cells = region.side_m // region.stride_m
    pieces = tuple(min(chunk, inner - at) for at in range(0, inner, chunk))
    if depth:
        edges = (pieces[0] + depth, *pieces[1:-1], pieces[-1] + depth)
        if len(pieces) == 1:
            edges = (pieces[0] + 2 * depth,)
        pixels = pixels.rechunk(((3,), edges, edges))
        pixels = dask.array.overlap.overlap(
            pixels, depth={0: 0, 1: depth, 2: depth}, boundary="none"
        )
    else:
        pixels = pixels.rechunk(((3,), pieces, pieces))
    out = tuple(piece // step for piece in pieces)
    vectors = pixels.map_blocks(
        _embedded, region.stride_m, dtype=np.float32, chunks=((DIM,), out, out)
    )
    found = vectors.compute(scheduler="threads", num_workers=threads)
    if found.shape != (DIM, cells, cells):
        raise ValueError(f"dask gave {found.shape}")
    return _finished(np.moveaxis(found, 0, -1), region, began, threads)


def _embedded(pixels: NDArray[np.uint8], stride_m: int) -> NDArray[np.float32]:
    import torch
    from torch.nn.functional import interpolate

    scale = INPUT_PX * GSD_M / PATCH_M
    size = [round(side * scale) for side in pixels.shape[1:]]
    image = interpolate(
        torch.from_numpy(pixels.astype(np.float32))[None],
        size=size,
        **KERNEL,
    )[0]
    model = image.round().clamp(0, 255).to(torch.uint8).numpy()
    step = round(stride_m / GSD_M * scale)
    windows = np.lib.stride_tricks.sliding_window_view(model, (INPUT_PX, INPUT_PX), axis=(1, 2))
    windows = np.moveaxis(windows[:, ::step, ::step], 0, 2)
    rows, cols = windows.shape[:2]
    encoder, found = COSTED.load("cpu"), []
    for first in range(0, rows * cols, BATCH):
        index = np.arange(first, min(first + BATCH, rows * cols))
        found.append(encoder.embed(np.ascontiguousarray(windows[index // cols, index % cols])))
    return np.concatenate(found).T.reshape(DIM, rows, cols)


def _finished(
    vectors: NDArray[np.float32], region: Region, began: float, threads: int
) -> Elsewhere:
    """Write embeddings (rows, columns, DIM) to a Zarr, and compare them with s2s_map's."""
    import dask.array

    memory_s = time.perf_counter() - began
    path = region.folder / "elsewhere.zarr"
    shutil.rmtree(path, ignore_errors=True)
    chunks = (region.block_cells, region.block_cells, DIM)
    array = dask.array.from_array(vectors, chunks=chunks).astype(np.float16)
    with dask.config.set(scheduler="threads", num_workers=threads):
        array.to_zarr(str(path))
    zarr_s = time.perf_counter() - began
    _compare(vectors, region)
    return Elsewhere(memory_s, zarr_s)


def _compare(vectors: NDArray[np.float32], region: Region) -> None:
    from s2s_map.embeddings.store import EmbeddingsStore

    store = EmbeddingsStore.open(region.folder / "engine" / "embeddings.zarr")
    least = 1.0
    for row in range(len(vectors)):
        ours = store.read_rows(slice(row, row + 1))[0, 0]
        cosines = (ours * vectors[row]).sum(axis=-1) / np.linalg.norm(ours, axis=-1)
        least = min(least, float(cosines.min()))
    if not least >= _ALIKE:
        raise SystemExit(f"other embeddings than ours: cosines down to {least:.5f}")
