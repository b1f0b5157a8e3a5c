"""Whether a piece of a scene can be stretched as the whole: `scale:` measured on the piece alone.

    python benchmarks/pieces.py NUMBERS.tif [--pieces 3] [--stride 2560]

NUMBERS.tif: red, green, blue as numbers, 0 for no data. Pieces of 760 x 560 pixels are mapped with
s2s-mini; printed is Spearman's rank correlation of four concepts with the map of the piece under
the whole scene's percentiles: least of all pieces, per concept, and the median.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from borders import CELL_M, PATCH_M, Mapper, Read
from numpy.typing import NDArray
from rasterio.windows import Window

from s2s_map.config.catalog import RasterEntry
from s2s_map.config.seen import PERCENTILES
from s2s_map.encoding.filling import fill_invalid
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.models.registry import model_card
from s2s_map.scoring.occurrence import rank_correlation
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.patches import PatchLayout, cut
from s2s_map.tiling.validity import cell_valid, token_valid

GAMMA = 1.3
SHAPE = (560, 760)
SEEN = model_card("s2s-mini").seen
Values = NDArray[np.float64]


def ends(values: Values, low: float, high: float) -> list[dict[str, float]]:
    """Return a `scale:` of numbers, by percentiles of values (3, n)."""
    pairs = np.percentile(values, (low, high), axis=1).T
    return [{"min": float(a), "max": float(b), "gamma": GAMMA} for a, b in pairs]


def to_card(values: Values, low: float, high: float) -> list[dict[str, float]]:
    """Return a `scale:` that brings two percentiles to where they are in the card."""
    assert SEEN is not None  # noqa: S101
    scale = []
    for band, known in zip(values, SEEN.bands, strict=True):
        x = np.percentile(band, (low, high))
        levels = [known.percentiles[PERCENTILES.index(p)] for p in (low, high)]
        y = (np.array(levels) / 255) ** GAMMA
        slope = (x[1] - x[0]) / (y[1] - y[0])
        first = x[0] - y[0] * slope
        scale.append({"min": float(first), "max": float(first + slope), "gamma": GAMMA})
    return scale


def mapped(mapper: Mapper, path: Path, scale: Any, stride: float) -> NDArray[np.float32]:
    """Return the similarities of the cells with data, (cells, concepts)."""
    entry = {"type": "raster", "uri": str(path), "sensor": "landsat", "title": "piece"}
    more = {"licence": "-", "attribution": "-", "nodata": 0, "scale": scale}
    source = open_source(RasterEntry.model_validate({**entry, **more}))
    source = source.measured(source.sample((-180, -80, 180, 84)), SEEN)
    block = MapGrid.from_bounds(source.coverage[0].bounds, source.crs, CELL_M, 1000).block(0, 0)
    patches = PatchLayout(PATCH_M, 112, stride, 14).patches_for(block.bounds, "token")
    image = source.read(patches.read_bounds, patches.read_shape, source.crs)
    counted = token_valid(image.valid, patches, np.arange(patches.count))
    index = np.flatnonzero(counted.any(axis=1))
    seen = cut(image.valid[None], patches, index)[:, 0]
    tokens = mapper.tokens(fill_invalid(cut(image.pixels, patches, index), seen))
    weights = np.ones(len(index), np.float32)

    read = Read(block, patches, image.pixels, image.valid)
    values = mapper.blended(read, index, tokens, counted[index], weights)
    return values[cell_valid(image.valid, patches, block)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("--pieces", type=int, default=3)
    parser.add_argument("--stride", type=float, default=2560.0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    mapper, rng = Mapper(), np.random.default_rng(1)
    with rasterio.open(given.scene) as image:
        numbers, profile, place = image.read(), image.profile, image.window_transform
    valid = numbers.all(axis=0)
    whole = ends(numbers[:, valid].astype(np.float64), 0.5, 99.7)
    found: dict[str, list[list[float]]] = {}
    done = 0
    while done < given.pieces:
        top, left = rng.integers(0, np.subtract(valid.shape, SHAPE))
        part = np.s_[top : top + SHAPE[0], left : left + SHAPE[1]]
        if valid[part].mean() < 0.9:
            continue
        done += 1
        window = Window(int(left), int(top), SHAPE[1], SHAPE[0])
        size = {"width": SHAPE[1], "height": SHAPE[0], "transform": place(window)}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "piece.tif"
            with rasterio.open(path, "w", **{**profile, **size, "driver": "GTiff"}) as file:
                file.write(numbers[:, *part])
            own = numbers[:, *part][:, valid[part]].astype(np.float64)
            best = mapped(mapper, path, whole, given.stride)
            scales: dict[str, Any] = {
                "auto": "auto",
                "percentiles: [0.1, 99.9]": {"percentiles": [0.1, 99.9], "gamma": GAMMA},
                "5 and 95 % to the card's": to_card(own, 5.0, 95.0),
                "match": "match",
            }
            for name, scale in scales.items():
                ours = mapped(mapper, path, scale, given.stride)
                ranks = [rank_correlation(a, b) for a, b in zip(best.T, ours.T, strict=True)]
                found.setdefault(name, []).append(ranks)
    for name, every in found.items():
        ranks = np.array(every)
        least = ", ".join(f"{value:.3f}" for value in ranks.min(axis=0))
        print(f"| {name} | {least} | {np.median(ranks):.3f} |", flush=True)


if __name__ == "__main__":
    main()
