"""Regions of a batch that are several maps: a place with all its parts."""

from __future__ import annotations

import re

from s2s_map.config.batch import RegionSpec
from s2s_map.errors import RegionError
from s2s_map.regions.place_names import plain
from s2s_map.regions.place_region import parts_of
from s2s_map.regions.region import Outline
from s2s_map.tiling.splitting import split_region


def every_map(name: str, spec: RegionSpec) -> dict[str, RegionSpec]:
    """Return the regions that one of a batch stands for, by the names of their maps.

    ``France (all)`` is a map of each part of France, and where one map does not show a part well,
    of each of its pieces. Everything else is one map; what cannot be read is left to its run.

    Args:
        name: Name of the region in the batch.
        spec: What it is.
    """
    if not isinstance(spec, str):
        return {name: spec}
    try:
        parts = parts_of(spec)
    except RegionError:
        return {name: spec}
    if parts is None:
        return {name: spec}
    found: dict[str, RegionSpec] = {}
    for part in parts:
        own = _own_name(name, part)
        pieces = split_region(part)
        for number, piece in enumerate(pieces, 1):
            key = own if len(pieces) == 1 else f"{own}-{number:0{len(str(len(pieces)))}d}"
            if key in found:  # Two parts near a place that gives both its name.
                key = f"{key}-{len(found) + 1}"
            found[key] = piece.region if isinstance(piece.region, str) else list(piece.region)
    return found


def _own_name(name: str, part: Outline) -> str:
    """Return the name of a part's map: the batch's for the main part, else with the part's."""
    if part.region == part.place:
        return name
    inner = part.region.removeprefix(part.place).strip(" ()").replace(".", "_")
    ascii_only = plain(inner).encode("ascii", "ignore").decode()
    return f"{name}-{re.sub(r'[^a-z0-9]+', '-', ascii_only).strip('-')}"
