"""Trying a source with one small read, and saying step by step what works."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np
import shapely
from odc.geo.crs import CRS

from s2s_map.catalog.environment import check_environment
from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import CatalogEntry
from s2s_map.config.scale import MeasuredScale, written
from s2s_map.config.seen import SeenImagery
from s2s_map.errors import S2SMapError
from s2s_map.imagery.judging import judge
from s2s_map.imagery.source import Source
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.regions.projections import LONLAT, project

ANYWHERE = (8.54, 47.37)
"""Longitude and latitude to read at where a source has no outline of its own: Zürich."""

_SIDE_PX = 128
Check = tuple[bool, str]


def check_source(
    entry: CatalogEntry,
    at: tuple[float, float] | None = None,
    seen: SeenImagery | None = None,
) -> Iterator[Check]:
    """Yield whether each step works, and what was found; ends at the first that does not.

    Args:
        entry: The catalog entry.
        at: Longitude and latitude to read at; the middle of the first scene if None.
        seen: What the model saw that the colours are compared with.
    """
    try:
        check_environment(entry)
        if entry.env:
            yield True, f"environment: {', '.join(entry.env)} set"
        source = open_source(entry)
        yield True, f"opens: {source.describe()}"
        lon, lat = at or _middle(source)
        source = source.over((lon, lat, lon, lat))
        area = (lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01)
        if source.needs_freezing:
            source = source.freeze(area)
            yield True, f"network: the search answers with {source.describe()}"
        yield True, f"CRS: {_crs(source)}"
        sample = source.sample(area)
        source = source.measured(sample, seen)
        if isinstance(source.scale, MeasuredScale):
            yield True, f"scale: measured as {written(source.scale)}"
        if not (yield from _read(source, lon, lat)):
            return
        remarks = [*source.remarks, *judge(sample, source.scale, seen)]
        for remark in remarks:
            yield True, f"colours: {remark}"
        if seen is not None and not remarks:
            yield True, f"colours: like what the model saw ({seen.source})"
    except S2SMapError as error:
        yield False, str(error)


def _read(source: Source, lon: float, lat: float) -> Generator[Check, None, bool]:
    """Yield what is read there; returns whether anything was seen."""
    crs = CRS.utm(lon, lat)
    there = project(shapely.Point(lon, lat), LONLAT, crs).centroid
    pixel = source.entry.sensor.gsd_m
    half = pixel * _SIDE_PX / 2.0
    x, y = round(there.x / pixel) * pixel, round(there.y / pixel) * pixel
    block = source.read((x - half, y - half, x + half, y + half), (_SIDE_PX, _SIDE_PX), crs)
    for hole in block.holes:
        yield False, f"read: {hole.uri}: {hole.reason}"
    seen = block.pixels[:, block.valid]
    yield (
        bool(seen.size),
        f"nodata: {block.valid_fraction:.0%} of {_SIDE_PX} x {_SIDE_PX} px of {pixel:g} m at "
        f"longitude {lon:.4f}, latitude {lat:.4f} seen"
        + ("" if seen.size else "; give --at LON,LAT within the imagery"),
    )
    if not seen.size:
        return False
    low, high = (np.percentile(seen, p, axis=1).round().astype(int) for p in (2, 98))
    colours = ("red", "green", "blue")
    ranges = ", ".join(f"{c} {a} to {b}" for c, a, b in zip(colours, low, high, strict=True))
    flat = bool((high - low < 2).all())
    extreme = bool((low >= 250).all() or (high <= 5).all())
    yield (
        not extreme,
        f"values: {ranges} of 0 to 255 (2nd to 98th percentile)"
        + ("; correct scale: in the entry" if extreme else "; all one colour" if flat else ""),
    )
    return True


def _middle(source: Source) -> tuple[float, float]:
    if not source.coverage:
        return ANYWHERE
    first = source.coverage[0]
    point = project(first.footprint.representative_point(), first.crs, LONLAT).centroid
    return float(point.x), float(point.y)


def _crs(source: Source) -> str:
    codes = dict.fromkeys(str(part.crs) for part in source.coverage)
    bands = {
        f"{part.band_count} bands of {part.dtype}"
        for part in source.coverage
        if isinstance(part, Scene)
    }
    if not codes:
        return "as asked for"
    return f"{', '.join(codes)}; bands: {', '.join(sorted(bands)) or 'red, green, blue'}"
