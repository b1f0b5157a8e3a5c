"""What a plan expects of a search that is still to be made, and which source is nearest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from s2s_map.config.catalog import CatalogEntry
from s2s_map.config.model import ModelCard
from s2s_map.config.stac import StacEntry, resolve_time
from s2s_map.imagery.sources.open_source import covers_any
from s2s_map.imagery.sources.stac.search.parts import parts_of, region_of
from s2s_map.pipeline.job.job import Job
from s2s_map.tiling.needed import CountedBlock

# Tiles of neighbouring zones of UTM overlap, and so do those of one, by 10 km.
_OVERLAP = 1.2
# Of a cloud-optimised GeoTIFF: its header, and tiles of 1,024 pixels of two bytes.
_TILE_BYTES = 2 * 1024**2
# Sample distances that differ less are those of one kind of imagery.
_SAME_GSD = 1.2


@dataclass(frozen=True)
class Scenes:
    """What a search is expected to find, and reading it to take.

    Attributes:
        parts: Parts in which the region is searched; each takes a request for every 100 scenes.
        tiles: Tiles of the collection that the region touches, reckoned: of Sentinel-2 of 100 km.
        most: Scenes at most.
        requests: Requests at most: headers, and tiles of 1,024 pixels of every band.
    """

    parts: int
    tiles: int
    most: int
    requests: int


def expected_scenes(job: Job, needed: Sequence[CountedBlock], read_bytes: int) -> Scenes | None:
    """Return what a search will find, from the area it covers; None where none is to be made.

    Args:
        job: The job.
        needed: Its blocks with cells in the region.
        read_bytes: Bytes of imagery that will be read.
    """
    if not isinstance(job.entry, StacEntry) or not job.source.needs_freezing:
        return None
    known, squares = job.entry.known, set()
    for counted in needed:
        west, south, east, north = (
            math.floor(edge / known.tile_m) for edge in counted.block.bounds
        )
        squares |= {(x, y) for x in range(west, east + 1) for y in range(south, north + 1)}
    tiles = math.ceil(len(squares) * _OVERLAP)
    most = math.ceil(tiles * job.entry.max_per_tile * known.orbits)
    files = len(job.entry.assets.files)
    interval = resolve_time(job.entry.time, datetime.now(UTC))
    region = region_of(job.outline.extent.bounds, job.outline.lonlat)
    parts = len(parts_of(region, interval))
    return Scenes(parts, tiles, most, most * files + math.ceil(read_bytes / _TILE_BYTES))


def nearest_sources(
    card: ModelCard, entries: Mapping[str, CatalogEntry], chosen: str, *, keys: bool = False
) -> tuple[str, ...]:
    """Return the sources whose pixels are nearest to those a model saw, the chosen one first.

    Only those that cover any region: scenes of a search and web tiles without bounds.

    Args:
        card: The model's card.
        entries: The catalog.
        chosen: The source of the config.
        keys: Also those that need a key.
    """
    if card.gsd_m is None:
        return ()
    low, high = card.gsd_m
    away = {
        name: round(_away(entry.sensor.gsd_m, low, high), 3)
        for name, entry in entries.items()
        if covers_any(entry)
        # Of one country, as NAIP is.
        and not (isinstance(entry, StacEntry) and entry.known.example)
        and (keys or not entry.env)
    }
    nearest = min(away.values(), default=0.0)
    names = sorted(name for name, far in away.items() if far == nearest)
    return tuple(sorted(names, key=lambda name: name != chosen))


def source_hint(
    card: ModelCard, entries: Mapping[str, CatalogEntry], chosen: str, chosen_gsd: float
) -> str:
    """Return a line about which source is nearest to what a model saw; empty if that is unknown."""
    if card.gsd_m is None:
        return ""
    free = nearest_sources(card, entries, chosen)
    every = nearest_sources(card, entries, chosen, keys=True)
    low, high = card.gsd_m
    saw = f"{low:g} m" if low == high else f"{low:g} to {high:g} m"
    said = f"{card.name} saw pixels of {saw}, {chosen} has {chosen_gsd:g} m"
    if chosen in every or _away(chosen_gsd, low, high) <= _SAME_GSD:
        return f"{said}: no source of the catalog is nearer"
    near = [f"without a key {_sizes(free, entries)}"] if free and chosen not in free else []
    near += [f"with a key {_sizes(every, entries)}"] if not set(every) & set(free) else []
    return f"{said}; nearest {', '.join(near)}" if near else said


def _away(size: float, low: float, high: float) -> float:
    return max(low / size, size / high, _SAME_GSD)


def _sizes(names: Sequence[str], entries: Mapping[str, CatalogEntry]) -> str:
    return " or ".join(f"{name} ({entries[name].sensor.gsd_m:g} m)" for name in names[:3])
