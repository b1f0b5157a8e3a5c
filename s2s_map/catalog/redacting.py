"""Addresses and messages without what is secret in them."""

from __future__ import annotations

import re

from s2s_map.config import secrets

_QUERY = re.compile(r"((?:https?|/vsi)[^\s'\"?]*)\?[^\s'\"]*")
_USER = re.compile(r"(https?://)[^/\s@'\"]+@")


def redacted(text: str) -> str:
    """Return text without known keys, and without the queries and user names of its addresses.

    Signatures travel there.

    Examples:
        >>> redacted("https://me:pw@host/a.tif?sig=abc not found")
        'https://host/a.tif not found'
    """
    return secrets.redacted(_USER.sub(r"\1", _QUERY.sub(r"\1", text)))
