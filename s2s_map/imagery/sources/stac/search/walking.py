"""Searching for the scenes of a region, part by part."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime

import shapely
from shapely.geometry.base import BaseGeometry

from s2s_map.catalog.environment import check_environment
from s2s_map.catalog.stac_items import Item, choose, cloud
from s2s_map.config.stac import StacEntry, resolve_time
from s2s_map.config.times import in_utc, parse_time
from s2s_map.errors import ImageryError, SearchIncompleteError
from s2s_map.imagery.sources.stac.search.asking import Asking, SearchHole
from s2s_map.imagery.sources.stac.search.kept import FoundParts
from s2s_map.imagery.sources.stac.search.parts import LonLatBounds, Part, parts_of, region_of
from s2s_map.imagery.watching import Watch
from s2s_map.redaction import redacted


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        interval: The interval of time that was searched, start/end.
        items: The chosen scenes, see `catalog.stac_items.choose`.
        holes: Parts that were not answered.
        parts: What is kept of it until it is written elsewhere.
    """

    interval: str
    items: list[Item]
    holes: tuple[SearchHole, ...]
    parts: FoundParts


def search(
    entry: StacEntry,
    area: LonLatBounds,
    outline: BaseGeometry | None = None,
    watch: Watch | None = None,
    now: datetime | None = None,
) -> Found:
    """Search an entry's API for the scenes of a region.

    The scenes are those that one search for all of it would find, in the same order.

    Args:
        entry: The entry.
        area: (west, south, east, north) in degrees; west > east across the antimeridian.
        outline: The region's own outline in degrees; None for all of the area.
        watch: Receives the progress.
        now: From when ``last 12 months`` counts back; the present if None.

    Raises:
        CatalogError: For an environment variable that is not set.
        ImageryError: If the API does not answer or has nothing.
        SearchIncompleteError: If parts were not answered and the entry does not say to go on.
    """
    check_environment(entry)
    region = region_of(area, outline)
    asked = {
        "url": redacted(entry.url),
        "collection": entry.collection,
        "time": entry.time,
        "max_cloud": entry.max_cloud,
        "assets": entry.assets.model_dump(),
        "region": shapely.to_wkt(region, rounding_precision=6),
    }
    interval = resolve_time(entry.time, now or datetime.now(UTC))
    found = FoundParts(asked, interval)
    parts = parts_of(region, found.interval)
    items, holes = _walk(entry, parts, found, watch)
    if holes and entry.on_missing_search == "fail":
        raise SearchIncompleteError(
            f"{len(holes)} part{'s' * (len(holes) > 1)} of the search of {redacted(entry.url)} "
            f"could not be had, such as {holes[0]}: {holes[0].reason}",
            remedy="start it again, which asks for what is missing alone, or go on without these "
            "scenes with on_missing_search: nodata in the catalog entry",
        )
    wanted = within(items, region)
    chosen = choose(wanted, entry)
    if not chosen and not holes:
        found.forget()
        west, south, east, north = area
        raise ImageryError(
            f"no scenes of {entry.collection} at {redacted(entry.url)} from {found.interval} at "
            f"[{west:.3f}, {south:.3f}, {east:.3f}, {north:.3f}]"
            + (f": all are cloudier than {entry.max_cloud:g} %" if wanted else ""),
            remedy="widen time: or raise max_cloud: in the catalog entry",
        )
    if not chosen:
        raise SearchIncompleteError(
            f"no scenes of {entry.collection} were found, and {len(holes)} parts of the search "
            f"could not be had, such as {holes[0]}: {holes[0].reason}",
            remedy="start it again, which asks for what is missing alone",
        )
    return Found(found.interval, chosen, tuple(holes), found)


def search_again(
    entry: StacEntry, holes: Sequence[SearchHole]
) -> tuple[list[Item], tuple[SearchHole, ...]]:
    """Ask once more for parts that were not answered.

    Returns:
        Their items, cloudy ones too, and what is still missing.

    Raises:
        ImageryError: If the API does not answer as one.
    """
    stop = threading.Event()
    asking = Asking(entry, stop)
    items: list[Item] = []
    left: list[SearchHole] = []
    try:
        for hole in holes:
            start, end = map(in_utc, parse_time(hole.interval))
            answer, missing = asking.answered(Part(hole.box, start, end))
            items += answer
            left += missing
    finally:
        asking.close()
    return items, tuple(left)


def within(items: Iterable[Item], region: BaseGeometry) -> list[Item]:
    """Return the items that lie in a region, each once, by id.

    Parts and servers differ in what they find beside the region; this does not.
    """
    by_id: dict[str, Item] = {}
    for item in items:
        there = by_id.get(item["id"])
        if there is None or _updated(item) > _updated(there):
            by_id[item["id"]] = item
    found = [by_id[name] for name in sorted(by_id)]
    outlines = [_outline_of(item) for item in found]
    shapely.prepare(region)
    return [
        item
        for item, outline in zip(found, outlines, strict=True)
        if outline is None or region.intersects(outline)
    ]


def _walk(
    entry: StacEntry, parts: Sequence[Part], found: FoundParts, watch: Watch | None
) -> tuple[list[Item], list[SearchHole]]:
    answers: dict[Part, tuple[list[Item], list[SearchHole]]] = {}
    for part in parts:
        known = found.get(part)
        if known is not None:
            answers[part] = known, []
    missing = [part for part in parts if part not in answers]
    if watch is not None:
        watch.start("search", len(parts), "parts", len(answers))
    if missing:
        stop = threading.Event()
        asking = Asking(entry, stop)
        pool = ThreadPoolExecutor(entry.manners.connections, thread_name_prefix="s2s-map-search")
        try:
            futures = {pool.submit(asking.answered, part): part for part in missing}
            for future in as_completed(futures):
                part, (items, holes) = futures[future], future.result()
                # What the entry does not allow is not needed again, nor kept in memory.
                clear = [item for item in items if cloud(item) <= entry.max_cloud] or items[:1]
                if not holes:
                    found.put(part, clear)
                answers[part] = clear, holes
                if watch is not None:
                    watch.advance(1)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            asking.close()
    if watch is not None:
        watch.finish()
    items = [item for part in parts for item in answers[part][0]]
    return items, [hole for part in parts for hole in answers[part][1]]


def _updated(item: Item) -> str:
    return str(item["properties"].get("updated", ""))


def _outline_of(item: Item) -> BaseGeometry | None:
    """Return an item's outline; None if it says none, or one that goes around the Earth.

    The latter lies across the antimeridian, and is not parted there.
    """
    try:
        if item.get("geometry"):
            outline = shapely.make_valid(shapely.geometry.shape(item["geometry"]))
        elif item.get("bbox"):
            corners = item["bbox"]
            half = len(corners) // 2  # With heights there are six.
            outline = shapely.box(*corners[:2], *corners[half : half + 2])
        else:
            return None
    except (ValueError, TypeError, LookupError, AttributeError, shapely.errors.ShapelyError):
        return None
    west, _, east, _ = outline.bounds
    return None if east - west > 180.0 else outline
