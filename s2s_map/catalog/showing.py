"""The fields of an entry as a person may see them: what looks like a key is hidden."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from s2s_map.redaction.known import is_secret_name, looks_like_key

HIDDEN = "[hidden]"

_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")
_PARAMETER = re.compile(r"(?<=[?&;])([^=&\s]+)=([^&\s]*)")
_HEADERS = ("authorization", "proxy-authorization", "cookie")


def shown_value(value: Any, name: str = "") -> tuple[Any, bool]:
    """Return a value of an entry without what looks like a key, and whether there was one.

    Hidden are logins of addresses, parameters and headers whose name or value is that of a key, and
    parts of a path that are as random as one. ``${NAME}`` stays: it shows no key.

    Args:
        value: Anything that a field holds.
        name: Of the field, or the header.

    Examples:
        >>> shown_value("https://a.test/{z}?appid=123456&v=2")
        ('https://a.test/{z} ?appid=[hidden]&v=2', True)
    """
    if isinstance(value, Mapping):
        parts = {key: shown_value(part, str(key)) for key, part in value.items()}
        return {key: part for key, (part, _) in parts.items()}, any(h for _, h in parts.values())
    if isinstance(value, list | tuple):
        shown = [shown_value(part, name) for part in value]
        return tuple(part for part, _ in shown), any(hidden for _, hidden in shown)
    if not isinstance(value, str):
        return value, False
    text = _shown_text(value, name)
    return text, HIDDEN in text


def _shown_text(text: str, name: str) -> str:
    if (is_secret_name(name) or name.lower() in _HEADERS) and "${" not in text:
        return HIDDEN
    if "://" not in text:
        return HIDDEN if looks_like_key(text) and name not in ("sha256", "description") else text
    address, _, query = _LOGIN.sub(f"{HIDDEN}@", text).partition("?")
    address = "/".join(HIDDEN if looks_like_key(part) else part for part in address.split("/"))
    if not query:
        return address
    # Apart from the address, whose query the gate would take off.
    return f"{address} {_PARAMETER.sub(_parameter, f'?{query}')}"


def _parameter(match: re.Match[str]) -> str:
    name, value = match[1], match[2]
    if "${" in value or not value or not (is_secret_name(name) or looks_like_key(value)):
        return match[0]
    return f"{name}={HIDDEN}"
