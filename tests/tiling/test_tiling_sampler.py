"""Blocks as a torchgeo sampler: the DataLoader gives what a block read gives."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest

from s2s_map.catalog.scene import inspect_scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.imagery.sources.raster.reading import read_block
from s2s_map.imagery.sources.raster.source import RasterSource
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.patches import PatchLayout

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster

LAYOUT = PatchLayout(patch_m=960, input_px=56, stride_m=240, tokens=14)
CRS = "EPSG:32621"


@pytest.mark.parametrize("level", ["token", "patch"])
def test_a_torchgeo_data_loader_reads_the_same_pixels(make_raster: MakeRaster, level: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # third parties' imports
        from torch.utils.data import DataLoader
        from torchgeo.datasets import stack_samples

        from s2s_map.imagery.dataset import ImageryDataset
        from s2s_map.tiling.sampler import BlockSampler

    uri = str(make_raster(place="utm_off_lattice"))
    entry = RasterEntry(
        type="raster", title="t", uri=uri, sensor="landsat", licence="l", attribution="a"
    )
    scenes = [inspect_scene(uri, entry)]
    cell = 240 if level == "patch" else 60
    grid = MapGrid.from_bounds(scenes[0].bounds, CRS, cell, 10)
    dataset = ImageryDataset(RasterSource(entry, tuple(scenes)), CRS, LAYOUT.pixel_m)
    sampler = BlockSampler(dataset, grid, LAYOUT, level, blocks=grid.blocks()[:6])
    assert len(sampler) == 6
    assert sampler.strategy == "sequential"
    loader = DataLoader(dataset, batch_size=1, sampler=sampler, collate_fn=stack_samples)
    for block, sample in zip(sampler.blocks, loader, strict=True):
        patchset = LAYOUT.patches_for(block.bounds, level)
        expected = read_block(scenes, patchset.read_bounds, patchset.read_shape, CRS, entry)
        np.testing.assert_array_equal(sample["image"][0].numpy(), expected.pixels)
        np.testing.assert_array_equal(sample["valid"][0].numpy(), expected.valid)
