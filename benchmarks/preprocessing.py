"""How near patches cut from a block resampled once come to patches cropped and resized alone.

    python benchmarks/preprocessing.py [--patches 24] [--models mini,full]

The bundled scene is read as if its pixels were 10 m (sentinel: 256 px a patch at zoom 1) and 0.6 m
(bing: 300 px), at zooms 1, 3 and 5; every patch is embedded from `patches.resampling: block` and
`exact`, and the cosines of the pairs are printed: at level token those of all tokens. "mini" is
s2s-mini, "full" the published architecture with weights from a formula. Allowed is what
keeps 0.999. At zoom 5 patches reach into the scene's corners without
data, next to which both ways differ more: they are printed, and do not count for the verdict.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin

from s2s_map.config.catalog import RasterEntry
from s2s_map.config.model import ModelConfig
from s2s_map.encoding.exact import resize_patches
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.models.loaded import LoadedModel
from s2s_map.models.registry import load_model
from s2s_map.tiling.patches import PatchLayout, cut

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
SENSORS = {"sentinel": (10.0, 256), "bing": (0.6, 300)}
ZOOMS = (1, 3, 5)
LIMIT = 0.999
CRS = "EPSG:32621"


def relabelled(folder: Path, gsd_m: float) -> Path:
    """The bundled scene with pixels of another size, on multiples of it."""
    sample = files("s2s_map") / "sample_data" / "iguacu_landsat8_rgb.tif"
    path = folder / f"{gsd_m:g}.tif"
    with rasterio.open(str(sample)) as source:
        profile = {
            "driver": "GTiff", "dtype": "uint8", "count": 3, "crs": CRS,
            "width": source.width, "height": source.height,
            "transform": from_origin(60_000 * gsd_m, 700_000 * gsd_m, gsd_m, gsd_m),
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read())
            target.write_mask(source.dataset_mask())
    return path


def patches(path: Path, gsd_m: float, px: int, zoom: int, input_px: int, tokens: int, count: int):
    """Pairs of patches (B, 3, input_px, input_px) by block and exact."""
    size = gsd_m * px * zoom
    entry = RasterEntry.model_validate(
        {
            "type": "raster", "title": "x", "uri": str(path), "licence": "x", "attribution": "x",
            "sensor": {"gsd_m": gsd_m, "patch_m": gsd_m * px},
        }
    )  # fmt: skip
    source = open_source(entry)
    with rasterio.open(path) as scene:
        west, south, east, north = scene.bounds
    # A whole number of model pixels and an even one of source pixels, so that patches line up with
    # the source: half a patch.
    block = PatchLayout(size, input_px, size / 2, tokens)
    exact = PatchLayout(size, input_px, size / 2, tokens, px * zoom)
    middle_x, middle_y = (west + east) / 2, (south + north) / 2
    stride = size / 2
    reach = max(min(east - west, north - south) / 2 - size / 2, stride / 2)
    bounds = (middle_x - reach, middle_y - reach, middle_x + reach, middle_y + reach)
    cells = tuple(np.round(edge / stride) * stride for edge in bounds)
    found = []
    for layout in (block, exact):
        chosen = layout.patches_for(cells, "patch")
        image = source.read(chosen.read_bounds, chosen.read_shape, CRS)
        step = max(1, chosen.count // count)
        indices = np.arange(chosen.count)[::step][:count]
        pixels = cut(image.pixels, chosen, indices)
        whole = cut(image.valid[None], chosen, indices).all(axis=(1, 2, 3))
        found.append((pixels, whole))
    (a, valid_a), (b, valid_b) = found
    both = valid_a & valid_b
    keep = both if both.any() else np.ones_like(both)
    return a[keep], resize_patches(b[keep], input_px), size, bool(both.any())


def full_size() -> LoadedModel:
    """The published architecture without metadata, weights from the parity formula."""
    from fixtures_models import fill, tiny_card

    from s2s_map.models.build import build_model

    config = ModelConfig()
    network = build_model(config)
    fill(network)
    return LoadedModel(tiny_card("full", config), network, Path())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--patches", type=int, default=24)
    parser.add_argument("--models", default="mini,full")
    parser.add_argument("--sensors", default="sentinel,bing")
    given = parser.parse_args()
    print("model  sensor    zoom level  n       least    1 %      median   pixels off by (mean)")
    worst = 1.0
    for name in given.models.split(","):
        model = load_model("s2s-mini") if name == "mini" else full_size()
        for sensor in given.sensors.split(","):
            gsd_m, px = SENSORS[sensor]
            with tempfile.TemporaryDirectory() as folder:
                path = relabelled(Path(folder), gsd_m)
                for zoom in ZOOMS:
                    a, b, size, whole = patches(
                        path, gsd_m, px, zoom, model.input_px, model.tokens_per_side, given.patches
                    )
                    off = np.abs(a.astype(int) - b).mean()
                    pairs = {"patch": [], "token": []}
                    for i in range(0, len(a), 8):
                        one, other = (
                            model.embed_patches(
                                torch.from_numpy(np.ascontiguousarray(p[i : i + 8])),
                                model.resolution_for(size),
                                "both",
                            )
                            for p in (a, b)
                        )
                        for level, x, y in zip(pairs, one, other, strict=True):
                            pairs[level].append((x * y).sum(-1).flatten().cpu().numpy())
                    for level, values in pairs.items():
                        cosine = np.concatenate(values)
                        least, low, median = np.percentile(cosine, [0, 1, 50])
                        if whole:
                            worst = min(worst, least if level == "patch" else low)
                        print(
                            f"{name:6} {sensor:9} {zoom:4} {level:6} {len(cosine):6} "
                            f"{least:.6f} {low:.6f} {median:.6f} {off:.2f}",
                            flush=True,
                        )
    kept = "kept" if worst >= LIMIT else "NOT kept"
    print(f"cosine >= {LIMIT}: {kept} (patches: least; tokens: 1st percentile; {worst:.6f})")


if __name__ == "__main__":
    main()
