"""Asking a STAC API for the scenes of one part of a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from s2s_map.config.stac import StacEntry
from s2s_map.errors import ImageryError
from s2s_map.opening.egress import egress, refused
from s2s_map.opening.routes import route_to
from s2s_map.redaction import redacted

LonLatBounds = tuple[float, float, float, float]

RETRIES = 4
"""How often connecting is tried again."""

# How servers say, under whichever status, that a search was too much for them.
_TOO_MUCH = (
    "maximum allowed time",
    "timed out",
    "timeout",
    "too large",
    "too many results",
    "statement",
    "connection reset",
    "connection aborted",
    "remotedisconnected",
    "incomplete",
    "broken",
)
_BUSY = (408, 425, 429, 503)
_SORT = [
    {"field": "properties.eo:cloud_cover", "direction": "asc"},
    {"field": "id", "direction": "asc"},
]


@dataclass(frozen=True)
class Manners:
    """What happens around each request.

    Attributes:
        before: Called before it; waits for its turn.
        hold: Called with the seconds for which a server asks to be left alone.
        timeout_s: Time for one answer, seconds.
    """

    before: Callable[[], None]
    hold: Callable[[float], None]
    timeout_s: float


class PartError(Exception):
    """A part of a search that was not answered.

    Args:
        reason: Why, in a line without secrets.
        kind: `busy`: try the same again; `slow`: it took the server too long; `broken`: an error
            that a smaller part may not meet.
    """

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.reason, self.kind = reason, kind


class StacApi:
    """A STAC API, asked through pystac-client; for several threads.

    Args:
        entry: The catalog entry.
        manners: What happens around each request.

    Raises:
        ImageryError: If it does not answer as a STAC API.
    """

    def __init__(self, entry: StacEntry, manners: Manners) -> None:
        # pystac-client takes half a second to import.
        from pystac.errors import STACError
        from pystac_client import Client, ConformanceClasses
        from pystac_client.errors import ClientTypeError
        from pystac_client.exceptions import APIError

        self._entry, self._manners = entry, manners
        self._route = route_to(entry.url, others=entry.redirects_to)
        self._errors = (APIError, ClientTypeError, STACError, ValueError, LookupError, OSError)
        for attempt in range(RETRIES + 1):
            try:
                client = Client.open(entry.url, stac_io=self._io())
                links = client.get_links("search")
                posts = [link for link in links if link.extra_fields.get("method") == "POST"]
                self._url = str((posts or links)[0].get_absolute_href())
                break
            except self._errors as error:
                if attempt < RETRIES and self._failure(error).kind in ("busy", "slow"):
                    continue
                raise self._no_api(error) from None
        # GET alone is required of an API.
        self._method = "POST" if posts else "GET"
        self._filters = client.conforms_to(ConformanceClasses.QUERY)
        self._sorts = client.conforms_to(ConformanceClasses.SORT)

    def items(self, box: LonLatBounds, interval: str, limit: int) -> list[dict[str, Any]]:
        """Return all items of a box and an interval of time, however many pages they take.

        Where the API sorts, the least cloudy come first, and it is not asked for pages
        behind the cloudiest scene that the entry allows.

        Args:
            box: (west, south, east, north) in degrees, west <= east.
            interval: start/end, RFC 3339.
            limit: Items a page.

        Raises:
            PartError: If it does not answer all of it.
            ImageryError: If it refuses, or what it answers is not an item collection.
        """
        try:
            return self._pages(box, interval, limit)
        except PartError:
            raise
        except self._errors as error:
            status = getattr(error, "status_code", None)
            if self._sorts and status in (400, 422, 501):
                # Announced, and not to be had.
                self._sorts = False
                return self.items(box, interval, limit)
            failure = self._failure(error)
            if failure.kind == "refused":
                raise self._no_api(error) from None
            raise failure from None

    def _pages(self, box: LonLatBounds, interval: str, limit: int) -> list[dict[str, Any]]:
        from pystac_client import ItemSearch

        most = self._entry.max_cloud
        search = ItemSearch(
            url=self._url,
            method=self._method,
            stac_io=self._io(),
            collections=[self._entry.collection],
            bbox=list(box),
            datetime=interval,
            query={"eo:cloud_cover": {"lte": most}} if self._filters else None,
            sortby=_SORT if self._sorts else None,
            limit=limit,
            max_items=None,
        )
        found: dict[str, dict[str, Any]] = {}
        last, in_order = 0.0, self._sorts
        for page in search.pages_as_dicts():
            before = len(found)
            for item in page["features"]:
                found.setdefault(str(item["id"]), item)
                cloud = float(item.get("properties", {}).get("eo:cloud_cover") or 0.0)
                # Some announce it and do not sort.
                in_order, last = in_order and cloud >= last, cloud
            if len(found) == before:
                raise PartError("a page that repeats what the pages before it had", "broken")
            if in_order and last > most:
                break
        return list(found.values())

    def _io(self) -> Any:
        # One for each search: its session is not for several threads.
        from pystac_client.stac_api_io import StacApiIO
        from urllib3 import Retry

        retry = Retry(
            total=RETRIES,
            connect=RETRIES,
            read=0,
            status=0,
            other=0,
            backoff_factor=0.5,
            backoff_jitter=0.5,
            backoff_max=30,
            allowed_methods=None,
            respect_retry_after_header=False,
        )
        io = StacApiIO(
            max_retries=retry, timeout=self._manners.timeout_s, request_modifier=self._turn
        )
        io.session.proxies = dict.fromkeys(("http", "https"), egress().proxy(self._route))
        io.session.hooks["response"].append(self._heard)
        return io

    def _turn(self, request: Any) -> Any:
        self._manners.before()
        return request

    def _heard(self, response: Any, **_: Any) -> None:
        if response.status_code in _BUSY:
            seconds = _seconds(response.headers.get("retry-after"))
            if seconds:
                self._manners.hold(seconds)

    def _failure(self, error: Exception) -> PartError:
        status = getattr(error, "status_code", None)
        text = str(error).lower()
        if status in _BUSY:
            kind = "busy"
        elif status == 504 or any(words in text for words in _TOO_MUCH):
            kind = "slow"
        elif status == 413 or (status is not None and status >= 500):
            kind = "broken"
        else:
            kind = "refused"
        said = next(iter(redacted(str(error)).splitlines()), "") or type(error).__name__
        return PartError(f"{f'{status}: ' if status else ''}{said[:200]}", kind)

    def _no_api(self, error: Exception) -> ImageryError:
        url = redacted(self._entry.url)
        reason = refused(f"the STAC API {url}", self._route) or self._failure(error).reason
        return ImageryError(
            f"the STAC API {url} does not answer as one ({reason[:200]})",
            remedy="check the network and the entry's url:; see s2s-map catalog check",
        )


def _seconds(value: str | None) -> float:
    """Return the seconds of a ``Retry-After`` header (RFC 9110, section 10.2.3); 0 for none."""
    if value is None:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())
