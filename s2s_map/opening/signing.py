"""Signing addresses of blobs with short-lived tokens, as Planetary Computer hands them out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock

from s2s_map.errors import ImageryError
from s2s_map.extras import check_extra
from s2s_map.opening.egress import egress, refused
from s2s_map.opening.routes import route_to
from s2s_map.redaction import redacted, remember_address

SUBSCRIPTION_ENV = "PC_SDK_SUBSCRIPTION_KEY"
"""Environment variable of Planetary Computer's optional key; more requests are served with it."""

_SUBSCRIPTION_HOST = "planetarycomputer.microsoft.com"
_MARGIN = timedelta(seconds=90)
_TIMEOUT_S = 30.0
_ATTEMPTS = 4


@dataclass(frozen=True)
class _Token:
    text: str
    expires: datetime

    @property
    def is_fresh(self) -> bool:
        return datetime.now(UTC) + _MARGIN < self.expires


_tokens: dict[str, _Token] = {}
_lock = Lock()


def signed(href: str, token_url: str | None, *, renew: bool = False) -> str:
    """Return an address with a token as its query.

    A token serves until a minute and a half before it expires, in all threads of this process.
    It is never written anywhere.

    Args:
        href: The address, unsigned.
        token_url: Where tokens come from; None for an address that needs none.
        renew: Fetch another token although the present one has not expired.

    Raises:
        ImageryError: If no token can be had.
    """
    if token_url is None or not href.startswith(("http://", "https://")):
        return href
    with _lock:
        token = _tokens.get(token_url)
        if token is None or renew or not token.is_fresh:
            token = _tokens[token_url] = _fetch(token_url)
    return f"{href}?{token.text}"


def _fetch(token_url: str) -> _Token:
    check_extra("online", "a token for imagery", error=ImageryError)
    import httpx2
    from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    # To its own host alone: a catalog from elsewhere may name any.
    host = httpx2.URL(token_url).host
    is_theirs = host == _SUBSCRIPTION_HOST or host.endswith(f".{_SUBSCRIPTION_HOST}")
    key = os.environ.get(SUBSCRIPTION_ENV) if is_theirs else None
    headers = {"Ocp-Apim-Subscription-Key": key} if key else {}

    @retry(
        retry=retry_if_exception_type(httpx2.TransportError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(max=8),
        reraise=True,
    )
    def get() -> httpx2.Response:
        # Within its host: no header of ours is for another.
        way = egress().proxy(route_to(token_url))
        with httpx2.Client(proxy=way, timeout=_TIMEOUT_S, follow_redirects=True) as client:
            return client.get(token_url, headers=headers)

    try:
        response = get()
        response.raise_for_status()
        content = response.json()
        text = str(content["token"]).lstrip("?")
        remember_address(f"{token_url.partition('?')[0]}?{text}")
        expires = datetime.fromisoformat(str(content["msft:expiry"]).replace("Z", "+00:00"))
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        reason = refused(f"a token from {redacted(token_url)}", route_to(token_url))
        reason = reason or next(iter(redacted(str(error)).splitlines()), type(error).__name__)
        raise ImageryError(
            f"no token from {redacted(token_url)} ({reason[:200]})",
            expected="JSON with token and msft:expiry",
            remedy="check the network and the entry's token_url:",
        ) from None
    return _Token(text, expires if expires.tzinfo else expires.replace(tzinfo=UTC))
