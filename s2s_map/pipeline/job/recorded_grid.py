"""The CRS and region of embeddings that are there already: a run goes on in those.

Which CRS a region gets by itself, and what of a place is mapped, may change with a version. What
was begun is finished, asked and explained as it was begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from odc.geo.crs import CRS

from s2s_map.config.run import RunConfig
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import RegionError, StoreError
from s2s_map.outputs import names
from s2s_map.outputs.path import OutputPath
from s2s_map.outputs.zarr_files import embeddings_exist
from s2s_map.regions.place_region import whole_place
from s2s_map.regions.region import Outline
from s2s_map.regions.region_file import project_outline


def recorded_identity(home: OutputPath | None) -> Mapping[str, Any] | None:
    """Return what embeddings say that they are of; None where there are none that can be read.

    Damaged ones are refused, or repaired, by those who read them.

    Args:
        home: Where they lie, see `Output.finished_home`.
    """
    if home is None:
        return None
    try:
        if not embeddings_exist(home / names.EMBEDDINGS):
            return None
        identity = EmbeddingsStore.open(home / names.EMBEDDINGS).attributes.get("identity")
    except (OSError, StoreError):
        return None
    return identity if isinstance(identity, Mapping) else None


def recorded_crs(config: RunConfig, recorded: Mapping[str, Any] | None) -> str | None:
    """Return the CRS a run goes on in: what its config names, else that of its embeddings."""
    if config.grid.crs is not None or recorded is None:
        return config.grid.crs
    grid = recorded.get("grid")
    crs = grid.get("crs") if isinstance(grid, Mapping) else None
    return crs if isinstance(crs, str) else None


def recorded_outline(outline: Outline, crs: CRS, recorded: Mapping[str, Any] | None) -> Outline:
    """Return the outline a run goes on with: all parts of a place where it was begun so.

    Args:
        outline: What its region means now.
        crs: What it is mapped in.
        recorded: What its embeddings say that they are of.
    """
    if recorded is None or not outline.others or not isinstance(recorded.get("region"), str):
        return outline
    whole = replace(whole_place(outline.place), note=outline.note)
    try:
        region = project_outline(whole, crs)
    except RegionError:
        return outline
    polygon = region.polygon
    same = polygon is not None and polygon.normalize().wkt == recorded["region"]
    return whole if same else outline
