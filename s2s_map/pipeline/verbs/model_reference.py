"""What a model saw, from images, a catalog entry or a run config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from s2s_map.catalog.catalog import get_entry, load_catalog
from s2s_map.config.catalog import RasterEntry
from s2s_map.config.model import ModelCard
from s2s_map.config.run import load_run_config
from s2s_map.config.seen import SeenImagery
from s2s_map.errors import ConfigError
from s2s_map.imagery.colours import seen_in
from s2s_map.imagery.scaling import to_8bit
from s2s_map.imagery.source import Source
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.pipeline.job.frozen_search import freeze
from s2s_map.pipeline.job.job import resolve

_EVERYWHERE = (-180.0, -80.0, 180.0, 84.0)


def reference_of(
    card: ModelCard,
    images: Sequence[Path],
    source: str | None,
    config: Path | None,
    catalogs: Sequence[str | Path],
    about: str | None,
) -> SeenImagery:
    """Return what a model saw, from a sample of one kind of imagery.

    Args:
        card: The model's card.
        images: 8-bit georeferenced images, red, green, blue.
        source: Name of a catalog entry of files or cubes.
        config: A run config, whose source is searched and read over its region.
        catalogs: Catalog files that come before the usual ones.
        about: Which imagery it is; made up of the names if None.

    Raises:
        ConfigError: For none of images, source and config, or more than one of them.
        ImageryError: For imagery that cannot be read, or that is all of one level.
    """
    given = [bool(images), source is not None, config is not None]
    if sum(given) != 1:
        raise ConfigError(
            f"{sum(given)} kinds of imagery", expected="IMAGE files, --source or --config"
        )
    area = _EVERYWHERE
    if config is not None:
        job = freeze(resolve(load_run_config(config), catalogs), None)
        found, area, name = job.source, job.outline.extent.bounds, job.entry.title
    elif source is not None:
        found, name = open_source(get_entry(source, load_catalog(catalogs))), source
        if not found.coverage or found.needs_freezing:
            raise ConfigError(
                f"{source} has no outline of its own",
                expected="an entry of files or cubes",
                remedy="give a run config with a region: --config FILE",
            )
    else:
        found, name = _images(images), ", ".join(path.name for path in images)
    sample = found.sample(area)
    # Against what the card says so far: match cannot make its own reference.
    scale = found.measured(sample, card.seen).scale
    return seen_in(to_8bit(sample.values, scale), about or name)


def _images(images: Sequence[Path]) -> Source:
    return open_source(
        RasterEntry(
            type="raster",
            title="images",
            uri=tuple(str(path) for path in images),
            sensor="sentinel",
            licence="-",
            attribution="-",
        )
    )
