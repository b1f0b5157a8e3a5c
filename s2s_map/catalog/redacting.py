"""Addresses and messages without what is secret in them."""

from __future__ import annotations

import re

_QUERY = re.compile(r"((?:https?|/vsi)[^\s'\"?]*)\?[^\s'\"]*")
_USER = re.compile(r"(https?://)[^/\s@'\"]+@")
_TOKEN = re.compile(r"\b(sig|token|key|subscription-key|api_key|access_token)=[^\s&'\"]+", re.I)


def redacted(text: str) -> str:
    """Return text with the queries and user names of its addresses left out.

    Signatures and keys travel there.

    Examples:
        >>> redacted("https://me:pw@host/a.tif?sig=abc not found")
        'https://host/a.tif not found'
    """
    return _TOKEN.sub(r"\1=...", _USER.sub(r"\1", _QUERY.sub(r"\1", text)))
