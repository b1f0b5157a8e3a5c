"""Searching a STAC API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from s2s_map.catalog.egress import egress, refused
from s2s_map.catalog.environment import check_environment
from s2s_map.catalog.routes import route_to
from s2s_map.catalog.stac_items import Item, choose, kept
from s2s_map.config.stac import StacEntry, resolve_time
from s2s_map.errors import ImageryError
from s2s_map.redaction import redacted

LonLatBounds = tuple[float, float, float, float]

TIMEOUT_S = 60.0
RETRIES = 4
_MOST = 100_000


def search_items(
    entry: StacEntry, area: LonLatBounds, now: datetime | None = None
) -> tuple[str, list[Item]]:
    """Search an entry's API.

    Args:
        entry: The entry.
        area: (west, south, east, north) in degrees; west > east across the antimeridian.
        now: From when ``last 12 months`` counts back; the present if None.

    Returns:
        The interval of time, start/end, and the chosen items, see `catalog.stac_items.choose`.

    Raises:
        CatalogError: For an environment variable that is not set.
        ImageryError: If the API does not answer or has nothing.
    """
    check_environment(entry)
    interval = resolve_time(entry.time, now or datetime.now(UTC))
    found = {
        item["id"]: kept(item, entry)
        for bbox in _boxes(area)
        for item in _found(entry, bbox, interval)
    }
    chosen = choose(found.values(), entry)
    if not chosen:
        west, south, east, north = area
        raise ImageryError(
            f"no scenes of {entry.collection} at {redacted(entry.url)} from {interval} at "
            f"[{west:.3f}, {south:.3f}, {east:.3f}, {north:.3f}]"
            + (f": all {len(found)} are cloudier than {entry.max_cloud:g} %" if found else ""),
            remedy="widen time: or raise max_cloud: in the catalog entry",
        )
    return interval, chosen


def _found(entry: StacEntry, bbox: list[float], interval: str) -> Iterator[dict[str, Any]]:
    # pystac-client takes half a second to import.
    import requests
    from pystac.errors import STACError
    from pystac_client import Client, ConformanceClasses
    from pystac_client.errors import ClientTypeError
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    retry = Retry(
        total=RETRIES,
        backoff_factor=0.5,
        backoff_jitter=0.5,
        backoff_max=30,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,
    )
    route = route_to(entry.url, others=entry.redirects_to)
    io = StacApiIO(max_retries=retry, timeout=TIMEOUT_S)
    io.session.proxies = dict.fromkeys(("http", "https"), egress().proxy(route))
    try:
        client = Client.open(entry.url, stac_io=io)
        query = (
            {"eo:cloud_cover": {"lte": entry.max_cloud}}
            if client.conforms_to(ConformanceClasses.QUERY)
            else None
        )
        search = client.search(
            collections=[entry.collection],
            bbox=bbox,
            datetime=interval,
            query=query,
            limit=100,
            max_items=_MOST,
        )
        yield from search.items_as_dicts()
    except (
        requests.RequestException,
        APIError,
        ClientTypeError,
        STACError,
        ValueError,
        KeyError,
        OSError,
    ) as error:
        reason = refused(f"the STAC API {redacted(entry.url)}", route)
        reason = reason or next(iter(redacted(str(error)).splitlines()), type(error).__name__)
        raise ImageryError(
            f"the STAC API {redacted(entry.url)} does not answer as one ({reason[:200]})",
            remedy="check the network and the entry's url:; see s2s-map catalog check",
        ) from None


def _boxes(area: LonLatBounds) -> list[list[float]]:
    west, south, east, north = area
    if west <= east:
        return [[west, south, east, north]]
    return [[west, south, 180.0, north], [-180.0, south, east, north]]
