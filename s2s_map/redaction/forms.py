"""The forms in which a secret may be repeated: as it is, encoded, escaped."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 6
"""Characters of the shortest value that is taken out; shorter ones would wreck ordinary words."""

PREFIX = 8
"""Characters of a secret's beginning that are taken out wherever they stand."""

# What httpx leaves as it is in a query.
_HTTPX_SAFE = "/+=:@"
_B64_SHORTEST = 8


def forms(value: str) -> frozenset[str]:
    """Return the ways in which text may hold a value."""
    plain = {value, value.strip()}
    quoted = {
        text
        for one in plain
        for text in (quote(one, safe=""), quote(one, safe="/"), quote(one, safe=_HTTPX_SAFE))
    } | {quote_plus(value)}
    twice = {quote(text, safe="") for text in quoted}
    escaped = {
        html.escape(value, quote=False),
        html.escape(value),
        html.escape(value).replace("&#x27;", "&#39;"),
        html.escape(value).replace("&#x27;", "&apos;"),
        "".join(f"&#{ord(c)};" if c in "&<>\"'+/=" else c for c in value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(value)[1:-1].replace("/", "\\/"),
        _as_go(value),
        repr(value)[1:-1],
        value.replace("[", "\\["),  # As markup of the terminal library.
    }
    found = plain | quoted | twice | escaped
    found |= {_lower_hex(text) for text in quoted | twice}
    found |= {value.encode().hex(), value.encode().hex().upper()}
    found |= set(_base64(value))
    return frozenset(text for text in found if len(text) >= SHORTEST)


def _base64(value: str) -> Iterator[str]:
    """Yield what base64 of any text that holds the value holds, at each of three alignments."""
    data = value.encode()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        # Characters that other bytes have a part in are left out at both ends.
        start = -(-before * 8 // 6)
        whole = (before + len(data)) * 8 // 6
        inner = coded[start:whole]
        if len(inner) >= _B64_SHORTEST:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")
            yield quote(inner, safe="")


def _as_go(value: str) -> str:
    # encoding/json of Go, and many a server in JavaScript.
    text = json.dumps(value)[1:-1]
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _lower_hex(text: str) -> str:
    parts = text.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])
