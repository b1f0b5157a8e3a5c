"""How far the map of a cut-out is from that of its scene, by distance to its border.

    python benchmarks/borders.py [--scene FILE] [--pieces 12] [--stride 640] [--all]

Pieces of the demo scene are written as files of their own and embedded with s2s-mini; the truth is
the same cells with the imagery around them. Per way of filling what a patch lacks: the mean
absolute difference of the similarity of four concepts, in standard deviations of the truth; the
mean signed one (a ring that can be seen); Spearman's rank correlation. Cells are counted from the
border: 1 is the outermost ring. The first row is the whole scene with patches at half the stride:
what the choice of the lattice alone changes. `--all`: patches are also weighted by powers of their
valid share.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import torch
from colours import QUERIES
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy.ndimage import distance_transform_cdt, distance_transform_edt

from s2s_map.config.catalog import RasterEntry
from s2s_map.encoding.filling import fill_invalid
from s2s_map.imagery.source import Source
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.models.loaded import LoadedModel
from s2s_map.models.registry import load_model
from s2s_map.scoring.occurrence import rank_correlation
from s2s_map.tiling.blending import Blender
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.patches import PatchLayout, PatchSet, cut
from s2s_map.tiling.validity import cell_valid, token_valid

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

PATCH_M, CELL_M = 2560.0, 160
MARGIN_PX = 180
RINGS = ((1, 1), (2, 2), (3, 4), (5, 8), (9, 10_000))
SIZES = {"1 patch": 86, "1.3 patches": 111, "4 patches": 342}
OFF = "whole scene, half the stride"


def mean_colour(pixels: Pixels, valid: Mask) -> Pixels:
    """As it was before ADR 96."""
    filled = np.array(pixels)
    for one, seen in zip(filled, valid, strict=True):
        mean = one[:, seen].mean(axis=1) if seen.any() else np.full(3, 127.0)
        one[:, ~seen] = np.rint(mean).astype(np.uint8)[:, None]
    return filled


def nearest(pixels: Pixels, valid: Mask) -> Pixels:
    filled = np.array(pixels)
    for one, seen in zip(filled, valid, strict=True):
        if seen.any():
            _, (y, x) = distance_transform_edt(~seen, return_indices=True)
            one[:] = one[:, y, x]
    return filled


FILLS: dict[str, Callable[[Pixels, Mask], Pixels]] = {
    "mean colour": mean_colour,
    "nearest": nearest,
    "mirrored": fill_invalid,
}


@dataclass(frozen=True)
class Read:
    """A block of one source: its patches and what is seen of them."""

    block: Block
    patches: PatchSet
    pixels: Pixels
    valid: Mask

    @classmethod
    def of(cls, source: Source, bounds: tuple[float, ...], stride: float) -> Read:
        """Read the cells within bounds, with patches every so many metres."""
        layout = PatchLayout(PATCH_M, 112, stride, 14)
        west, south, east, north = bounds
        grid = MapGrid.from_bounds((west, south, east, north), source.crs, CELL_M, 1000)
        block = grid.block(0, 0)
        patches = layout.patches_for(block.bounds, "token")
        image = source.read(patches.read_bounds, patches.read_shape, source.crs)
        return cls(block, patches, image.pixels, image.valid)


class Mapper:
    """Similarities of four concepts; as blending is linear, they are blended instead of vectors."""

    def __init__(self) -> None:
        loaded = load_model("s2s-mini")
        assert isinstance(loaded, LoadedModel)  # noqa: S101
        self.model = loaded
        self.queries = np.stack([loaded.embed_text(text) for text in QUERIES.values()], axis=1)

    def tokens(self, pixels: Pixels) -> Values:
        """Return similarities of patches' tokens, (B, 196, concepts)."""
        resolution, parts = self.model.resolution_for(PATCH_M), []
        for start in range(0, len(pixels), 64):
            batch = torch.from_numpy(np.ascontiguousarray(pixels[start : start + 64]))
            vectors = self.model.embed_slots(batch, resolution, "token", [None])[0]
            parts.append(vectors.cpu().numpy() @ self.queries)
        return np.concatenate(parts)

    def blended(
        self, read: Read, index: NDArray[np.intp], tokens: Values, counted: Mask, weight: Values
    ) -> Values:
        """Return (ny, nx, concepts); the weights of patches are one more value that is blended."""
        blender = Blender(read.block, read.patches.layout, read.patches, tokens.shape[2] + 1)
        weights = np.broadcast_to(weight[:, None, None], (*tokens.shape[:2], 1))
        blender.add(index, np.concatenate([tokens * weights, weights], axis=2), counted)
        values, _ = blender.result()
        return np.asarray(values[..., :-1] / values[..., -1:])

    def whole(self, read: Read) -> Values:
        """Return the map of a block without missing pixels."""
        index = np.arange(read.patches.count)
        counted = np.ones((len(index), 196), dtype=np.bool_)
        tokens = self.tokens(cut(read.pixels, read.patches, index))
        return self.blended(read, index, tokens, counted, np.ones(len(index), np.float32))


def opened(path: Path) -> Source:
    entry = {"type": "raster", "uri": str(path), "sensor": "landsat", "title": path.stem}
    return open_source(
        RasterEntry.model_validate(
            {**entry, "licence": "public domain", "attribution": "Landsat, USGS"}
        )
    )


def write_piece(scene: Path, window: Window, path: Path, *, slanted: bool) -> tuple[float, ...]:
    """Write a piece of a scene; slanted: the south-east half of it is no data."""
    with rasterio.open(scene) as image:
        pixels, mask = image.read(window=window), image.dataset_mask(window=window).copy()
        bounds = image.window_bounds(window)
        profile = {
            "driver": "GTiff",
            "width": window.width,
            "height": window.height,
            "count": 3,
            "dtype": "uint8",
            "crs": image.crs,
            "transform": image.window_transform(window),
        }
    if slanted:
        rows, cols = np.indices(mask.shape)
        mask[0.7 * rows + cols > 0.55 * (0.7 * window.height + window.width)] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
        file.write_mask(mask)
    return tuple(bounds)


def measure(
    mapper: Mapper,
    scene: Path,
    windows: list[Window],
    stride: float,
    powers: tuple[int, ...],
    *,
    slanted: bool,
) -> None:
    found: dict[str, list[tuple[Values, Values, NDArray[np.int32]]]] = defaultdict(list)
    whole = opened(scene)
    with tempfile.TemporaryDirectory() as folder:
        for window in windows:
            path = Path(folder) / "piece.tif"
            bounds = write_piece(scene, window, path, slanted=slanted)
            around = Read.of(whole, bounds, stride)
            if not around.valid.all():
                continue
            piece = Read.of(opened(path), bounds, stride)
            truth = mapper.whole(around)
            shown = cell_valid(piece.valid, piece.patches, piece.block)
            ring = distance_transform_cdt(np.pad(shown, 1), metric="chessboard")[1:-1, 1:-1]
            finer = mapper.whole(Read.of(whole, bounds, stride / 2))
            found[OFF].append((finer, truth, ring))
            every = np.arange(piece.patches.count)
            counted = token_valid(piece.valid, piece.patches, every)
            index = np.flatnonzero(counted.any(axis=1))
            valid = cut(piece.valid[None], piece.patches, index)[:, 0]
            share = valid.mean(axis=(1, 2)).astype(np.float32)
            pixels = cut(piece.pixels, piece.patches, index)
            for name, fill in FILLS.items():
                tokens = mapper.tokens(fill(pixels, valid))
                for power in powers:
                    values = mapper.blended(piece, index, tokens, counted[index], share**power)
                    label = f"{name}, share^{power}" if power else name
                    found[label].append((values, truth, ring))
    deviation = np.concatenate([t[r > 0] for _, t, r in found[OFF]]).std(axis=0)
    for label, maps in found.items():
        row = []
        for low, high in RINGS:
            ours, true = (
                np.concatenate([m[i][(m[2] >= low) & (m[2] <= high)] for m in maps]) for i in (0, 1)
            )
            if len(ours) < 50:
                row.append("")
                continue
            off = (ours - true) / deviation
            ranks = [rank_correlation(a, b) for a, b in zip(ours.T, true.T, strict=True)]
            row.append(
                f"{np.abs(off).mean():.3f}, {np.abs(off.mean(axis=0)).max():.3f}, "
                f"{np.mean(ranks):.3f}"
            )
        print(f"| {label} | {' | '.join(row)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).parents[1] / "s2s_map/sample_data/iguacu_landsat8_rgb.tif"
    parser.add_argument("--scene", type=Path, default=default)
    parser.add_argument("--pieces", type=int, default=12)
    parser.add_argument("--stride", type=float, default=640.0)
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with rasterio.open(given.scene) as image:
        rows, cols = image.shape
    rng, mapper = np.random.default_rng(5), Mapper()
    powers = (0, 1, 4, 16) if given.all else (0,)
    for name, side in SIZES.items():
        for slanted in (False, True) if side > 300 else (False,):
            count = given.pieces if side < 300 else max(2, given.pieces // 4)
            corners = rng.integers(
                MARGIN_PX, (cols - MARGIN_PX - side, rows - MARGIN_PX - side), (count, 2)
            )
            windows = [Window(int(x), int(y), side, side) for x, y in corners]
            what = f"{name}, half of it no data along a slant" if slanted else name
            print(f"\n{what}: mean difference, its largest mean with sign, rank correlation\n")
            heads = [
                f"ring {a}" if a == b else f"{a} to {b}" if b < 999 else f"{a} and more"
                for a, b in RINGS
            ]
            print(f"| filled with | {' | '.join(heads)} |\n|---|{'---|' * len(RINGS)}")
            measure(mapper, given.scene, windows, given.stride, powers, slanted=slanted)


if __name__ == "__main__":
    main()
