"""The border of imagery leaves no ring in a map: a cut-out is mapped as the scene it is from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage

from s2s_map.catalog.catalog import sample_path
from s2s_map.config.catalog import RasterEntry
from s2s_map.encoding.satellite import embed_block
from s2s_map.imagery.source import Source
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.models.loaded import LoadedModel
from s2s_map.models.registry import load_model
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.patches import PatchLayout

SCENE = "iguacu_landsat8_rgb.tif"
LAYOUT = PatchLayout(2560.0, 112, 1280.0, 14)
# Of one patch (86 px are 2,580 m) and of 1.3.
PIECES = [Window(700, 1200, 86, 86), Window(960, 1480, 111, 111)]


def opened(path: Path) -> Source:
    about = {"title": "t", "sensor": "landsat", "licence": "l", "attribution": "a"}
    return open_source(RasterEntry.model_validate({"type": "raster", "uri": str(path), **about}))


def write_piece(window: Window, path: Path) -> tuple[float, float, float, float]:
    with rasterio.open(sample_path(SCENE)) as scene:
        assert scene.dataset_mask(window=window).all()
        profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": scene.crs}
        size = {"width": window.width, "height": window.height}
        transform = scene.window_transform(window)
        with rasterio.open(path, "w", **profile, **size, transform=transform) as piece:
            piece.write(scene.read(window=window))
        return scene.window_bounds(window)


def similarities(
    source: Source, bounds: tuple[float, float, float, float], model: LoadedModel
) -> NDArray[np.float32]:
    block = MapGrid.from_bounds(bounds, source.crs, 160, 100).block(0, 0)
    patchset = LAYOUT.patches_for(block.bounds, "token")
    image = source.read(patchset.read_bounds, patchset.read_shape, source.crs)
    texts = ("waves lapping on a lake shore", "birds and insects in a dense forest")
    values = embed_block(image, patchset, block, model, "token", 64).values[0]
    return values @ np.stack([model.embed_text(text) for text in texts], axis=1)


def test_a_cut_out_has_no_ring(tmp_path: Path) -> None:
    model = load_model("s2s-mini")
    assert isinstance(model, LoadedModel)
    rings, inner, steps = [], [], []
    for window in PIECES:
        bounds = write_piece(window, tmp_path / "piece.tif")
        truth = similarities(opened(sample_path(SCENE)), bounds, model)
        piece = similarities(opened(tmp_path / "piece.tif"), bounds, model)
        seen = np.isfinite(piece[..., 0])
        within = seen & ndimage.binary_erosion(seen, np.ones((3, 3)))
        rings.append((piece - truth)[seen & ~within])
        inner.append((piece - truth)[within])
        steps += [np.abs(np.diff(truth, axis=axis)).mean(axis=(0, 1)) for axis in (0, 1)]
    # A ring is seen where its cells are further from the truth than cells of the truth are from
    # their neighbours; the mean colour of the patch, as it was, came to 1.2 and 1.4 times that.
    ring, step = np.abs(np.concatenate(rings)).mean(axis=0), np.mean(steps, axis=0)
    assert (ring < step).all()
    assert (np.abs(np.concatenate(inner)).mean(axis=0) < 0.1 * step).all()
