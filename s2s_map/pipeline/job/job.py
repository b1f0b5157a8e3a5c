"""A run config with everything it names looked up, before anything expensive begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2s_map.catalog.catalog import find_entry
from s2s_map.config.catalog import CatalogEntry
from s2s_map.config.entry import Entry
from s2s_map.config.model import ModelCard, Precision
from s2s_map.config.run import RunConfig
from s2s_map.encoding.filling import METHOD as FILLED
from s2s_map.encoding.patch_metadata import PatchMetadata, metadata_for, time_slots_of
from s2s_map.errors import ConfigError, RegionError
from s2s_map.imagery.source import Source
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.models.encoders.kinds import encoder_packages
from s2s_map.models.python_model import PREFIX
from s2s_map.models.registry import model_card
from s2s_map.outputs.path import OutputPath, output_path
from s2s_map.pipeline.job.device import resolve_device
from s2s_map.pipeline.job.recorded_grid import recorded_crs, recorded_identity, recorded_outline
from s2s_map.plugins.kinds import SOURCES
from s2s_map.plugins.registry import brought_by
from s2s_map.redaction import cleaned
from s2s_map.regions.region import Outline, Region
from s2s_map.regions.region_file import load_region, read_outline
from s2s_map.tiling.crs import choose_crs
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.needed import needed_blocks
from s2s_map.tiling.patches import PatchLayout

MOST_BLOCKS = 1_000_000
"""Blocks of a map at most: twenty times those of the largest country."""

MOST_PIXELS = 1e9
"""Pixels of a block, its halo included, at most: 28 GB while it is read."""

MOST_PATCHES = 1e7
"""Patches of a block at most."""


@dataclass(frozen=True, eq=False)
class Job:
    """Everything a run needs to know.

    Attributes:
        config: The run config.
        source: The imagery source.
        outline: What is mapped, as it was given.
        region: What is mapped, in the grid's CRS.
        grid: The cells.
        layout: Size and spacing of the patches.
        card: The model's card.
        metadata: What the model is given beside the image; None for a model without metadata.
        precision: What the model multiplies in, "fp32" or "bf16".
    """

    config: RunConfig
    source: Source
    outline: Outline
    region: Region
    grid: MapGrid
    layout: PatchLayout
    card: ModelCard
    metadata: PatchMetadata | None = None
    precision: Precision = "fp32"

    @property
    def time_slots(self) -> tuple[str, ...]:
        """Labels of the time slots, at least one."""
        return time_slots_of(self.metadata)

    @property
    def entry(self) -> Entry:
        """The catalog entry of the imagery source."""
        return self.source.entry

    @property
    def output(self) -> OutputPath:
        """The output, a folder or a prefix of an object store."""
        return output_path(self.config.output)

    def identity(self) -> dict[str, Any]:
        """What decides the embeddings: if any of it differs, they are different embeddings.

        Questions, probabilities, formats and devices are not part of it.
        """
        config = self.config
        polygon = self.region.polygon
        identity: dict[str, Any] = cleaned(
            {
                "source": {
                    "name": config.source,
                    **brought_by(SOURCES, self.entry.type),
                    **self.source.identity(),
                },
                "region": None if polygon is None else polygon.normalize().wkt,
                "model": {
                    "name": self.card.name,
                    "sha256": self.card.sha256,
                    "precision": self.precision,
                    **encoder_packages(self.card.config),
                },
                "grid": {
                    "crs": str(self.grid.crs),
                    "cell_m": self.grid.cell_m,
                    "block_cells": self.grid.block_cells,
                    "shape": list(self.grid.shape),
                    "bounds": list(self.grid.bounds),
                },
                "patches": {
                    "size_m": self.layout.patch_m,
                    "stride_m": self.layout.stride_m,
                    "level": config.patches.level,
                    "resampling": config.patches.resampling,
                    "no_data": FILLED,
                },
                "metadata": None if self.metadata is None else self.metadata.describe(),
            }
        )
        return identity


def resolve(
    config: RunConfig, catalogs: Sequence[str | Path] = (), home: OutputPath | None = None
) -> Job:
    """Look up everything that a config names; reads headers and cards only.

    Args:
        config: The run config.
        catalogs: Catalog files that come before the usual ones.
        home: Where the embeddings lie, or will, that the job may go on with: in their CRS, unless
            the config names one. None: a new one is chosen.

    Raises:
        S2SMapError: Whatever is missing, unknown or does not fit together.

    Examples:
        >>> from s2s_map import load_run_config
        >>> resolve(load_run_config("workflows/demo.yaml")).grid.shape
        (349, 384)
    """
    entry, found = find_entry(config.source, catalogs, config.catalog)
    # So a run is explained from anywhere.
    config = config.model_copy(update={"catalog": None if found is None else str(found)})
    card = model_card(config.model)
    source = open_source(entry)
    outline = read_outline(config.region, source.coverage)
    recorded = recorded_identity(home)
    own = source.over(outline.extent.bounds).crs
    crs = choose_crs(own, outline, recorded_crs(config, recorded))
    outline = recorded_outline(outline, crs, recorded)
    source = source.over(outline.extent.bounds)
    region = load_region(config.region, source.coverage, crs, outline)
    grid = MapGrid.from_bounds(region.bounds, crs, config.grid.cell_m, config.grid.block_cells)
    layout = _layout(config, entry, card)
    _check_bounded(grid, layout)
    if config.patches.level == "patch" and layout.stride_m != grid.cell_m:
        raise ConfigError(
            f"grid.cell_m {grid.cell_m} and patches.stride_m {layout.stride_m:g}",
            expected="the same length at level: patch, where one cell is one patch",
            remedy=f"set grid.cell_m to {layout.stride_m:g}, or level: token",
        )
    if next(iter(needed_blocks(grid, region).counted()), None) is None:
        raise RegionError(
            f"a region in which no cell of {grid.cell_m} m has its centre",
            expected="a region of some cells at least",
            remedy="take smaller grid: {cell_m: ...}, or a larger region",
        )
    if config.patches.level == "token":
        layout.check_touching()
    metadata = metadata_for(config.metadata, card.config.metadata, card.name, str(grid.crs))
    return Job(
        config,
        source,
        outline,
        region,
        grid,
        layout,
        card,
        metadata,
        _precision(config, card),
    )


def _check_bounded(grid: MapGrid, layout: PatchLayout) -> None:
    """Refuse what no machine could do, before anything is counted block by block."""
    rows, cols = grid.block_shape
    if rows * cols > MOST_BLOCKS:
        raise ConfigError(
            f"{rows * cols:,} blocks of {grid.block_cells} x {grid.block_cells} cells of "
            f"{grid.cell_m} m",
            expected=f"at most {MOST_BLOCKS:,}",
            remedy="take larger grid: {cell_m: ..., block_cells: ...}, or a smaller region",
        )
    cells = min(grid.block_cells, max(grid.shape))
    side = cells * grid.cell_m + 2.0 * layout.patch_m
    pixels = (side / layout.patch_m * layout.read_px) ** 2
    if pixels > MOST_PIXELS:
        raise ConfigError(
            f"blocks of {cells} x {cells} cells of {grid.cell_m} m, read in pixels of "
            f"{layout.patch_m / layout.read_px:.3g} m, {pixels:.1e} of them",
            expected=f"at most {MOST_PIXELS:.0e} in a block",
            remedy="take smaller grid: {block_cells: ...}, or larger patches: {size_m: ...}",
        )
    patches = (side / layout.stride_m) ** 2
    if patches > MOST_PATCHES:
        raise ConfigError(
            f"blocks of about {patches:.1e} patches every {layout.stride_m:g} m",
            expected=f"at most {MOST_PATCHES:.0e} in a block",
            remedy="take a larger patches: {stride_m: ...}, or smaller grid: {block_cells: ...}",
        )


def _precision(config: RunConfig, card: ModelCard) -> Precision:
    # Decided once and here, so that every worker does the same. Models from Python do as they
    # like, and PyTorch is imported only where it has to be asked.
    foreign = config.model.startswith(PREFIX)
    if config.precision == "auto" and (foreign or not card.config.image.gains_from_bf16):
        return "fp32"

    from s2s_map.models.precision import choose_precision

    return choose_precision(config.precision, card.config, resolve_device(config.device))


def _layout(config: RunConfig, entry: CatalogEntry, card: ModelCard) -> PatchLayout:
    patches = config.patches
    size = patches.size_m if patches.size_m is not None else entry.sensor.patch_m * patches.zoom
    image = card.config.image
    source_px = None
    if patches.resampling == "exact":
        source_px = round(size / entry.sensor.gsd_m)
        if source_px < 1 or abs(size / entry.sensor.gsd_m - source_px) > 1e-3:
            raise ConfigError(
                f"patches of {size:g} m are {size / entry.sensor.gsd_m:.2f} source pixels of "
                f"{entry.sensor.gsd_m:g} m",
                expected="whole source pixels, at resampling: exact",
                remedy=f"set patches.size_m to {max(1, source_px) * entry.sensor.gsd_m:g}, or "
                "resampling: block",
            )
    return PatchLayout(size, image.input_px, patches.stride_m, image.tokens_per_side, source_px)
