"""A torchgeo sampler of block reads. Importing this takes seconds: import it where needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from torchgeo.datasets import GeoDataset
from torchgeo.samplers import SpatialSampler

from s2s_map.tiling.blocks import Block
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.patches import Level, PatchLayout


class BlockSampler(SpatialSampler):
    """Yields what to read for each block: the block with its halo, at the model's pixel size.

    torchgeo's own samplers put their lattice in the middle of the region, so that neighbouring
    regions do not line up, and read every patch for itself. Here the grid says where.

    Args:
        dataset: The dataset to sample, in the grid's CRS.
        grid: The output grid.
        layout: Size and spacing of patches.
        level: "token" or "patch".
        blocks: Some of the grid's blocks; all if left out.
    """

    strategy: Literal["random", "sequential"] = "sequential"

    def __init__(
        self,
        dataset: GeoDataset,
        grid: MapGrid,
        layout: PatchLayout,
        level: Level,
        *,
        blocks: Sequence[Block] | None = None,
    ) -> None:
        super().__init__(dataset)
        self.layout = layout
        self.level: Level = level
        self.blocks = tuple(grid.blocks() if blocks is None else blocks)
        self._length = len(self.blocks)

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        """Yield [xmin:xmax:pixel_m, ymin:ymax:pixel_m] of each block, in order."""
        pixel = self.layout.pixel_m
        for block in self.blocks:
            bounds = self.layout.patches_for(block.bounds, self.level).read_bounds
            minx, miny, maxx, maxy = bounds
            yield slice(minx, maxx, pixel), slice(miny, maxy, pixel)
