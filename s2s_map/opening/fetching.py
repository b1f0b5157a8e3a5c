"""Fetching a text of a server, bounded in size, no further than its route leads."""

from __future__ import annotations

import time

from s2s_map.errors import ImageryError
from s2s_map.extras import check_extra
from s2s_map.opening.egress import egress, refused
from s2s_map.opening.redirects import Route
from s2s_map.redaction import redacted

_ATTEMPTS = 4
# Of one answer, whose every piece comes in time, so many times the time for one.
_ANSWERS = 4.0


def fetch_bounded(url: str, route: Route, what: str, most_bytes: int, timeout_s: float) -> bytes:
    """Return what a server sends.

    Args:
        url: Address, with keys put in.
        route: Where it may lead.
        what: What it is, for messages.
        most_bytes: Its size at most.
        timeout_s: Time for one answer, seconds.

    Raises:
        ImageryError: If it cannot be had, is too large, or lies where the route does not lead.
    """
    check_extra("online", what, error=ImageryError)
    import httpx2
    from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

    def passes(error: BaseException) -> bool:
        if isinstance(error, httpx2.HTTPStatusError):
            return error.response.status_code in (429, 500, 502, 503, 504)
        return isinstance(error, httpx2.TransportError)

    @retry(
        retry=retry_if_exception(passes),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.2, max=8),
        reraise=True,
    )
    def get() -> bytes:
        way = egress().proxy(route)
        with (
            httpx2.Client(proxy=way, timeout=timeout_s, follow_redirects=True) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            body, deadline = bytearray(), time.monotonic() + _ANSWERS * timeout_s
            for piece in response.iter_bytes():
                body += piece
                if len(body) > most_bytes or time.monotonic() > deadline:
                    size = f"larger than {most_bytes // 10**6} MB"
                    raise ImageryError(
                        f"{what} at {redacted(url)} are "
                        + (size if len(body) > most_bytes else "an answer that does not end"),
                        remedy="check the address",
                    )
            return bytes(body)

    try:
        return get()
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        name = f"{what} at {redacted(url)}"
        reason = refused(name, route) or _said(error)
        raise ImageryError(
            f"{name} cannot be had ({reason})",
            remedy="check the address and the network",
        ) from None


def _said(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"status {response.status_code}"
    return next(iter(redacted(str(error)).splitlines()), "")[:200] or type(error).__name__
