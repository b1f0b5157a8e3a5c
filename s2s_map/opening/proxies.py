"""Proxies that the environment names, and hosts that it wants to be asked directly."""

from __future__ import annotations

import base64
import os
import urllib.request
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

from s2s_map.opening.redirects import HTTPS, Host, Route

# What the environment said of proxies before `take_over_no_proxy`.
_said: dict[str, str] = {}
# Addresses of this process's proxy that it put into the environment: never where it asks in turn.
_ours: set[str] = set()
_OPEN = Route(Host("", 0), is_open=True)


def take_over_no_proxy(proxy_of: Callable[[Route], str]) -> None:
    """Have nothing of this process bypass the proxy.

    libcurl connects directly to what NO_PROXY names, whatever proxy it was given, and hosts of a
    local network stand there. So it is taken out of the environment and minded here. Where the
    environment names proxies, too, libraries are sent this way instead, so that what was to be
    direct is.

    Args:
        proxy_of: Returns the address of this process's proxy for a route.
    """
    found = urllib.request.getproxies_environment()
    if not found.get("no"):
        return
    # What stands for another proxy since an earlier call is still that.
    said = {s: _said.get(s, "") if given in _ours else given for s, given in found.items()}
    _said.clear()
    _said.update({scheme: given for scheme, given in said.items() if given})
    for name in [n for n in os.environ if n.lower() == "no_proxy"]:
        os.environ.pop(name, None)
    for scheme in {"http", "https", "all"} & set(_said):
        _ours.add(own := proxy_of(_OPEN))
        os.environ[f"{scheme}_proxy"] = os.environ[f"{scheme.upper()}_PROXY"] = own


def environment_proxy(host: Host) -> SplitResult | None:
    """Return the proxy that the environment names for a host, if any."""
    found = _said or urllib.request.getproxies_environment()
    bypass = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]
    if bypass(f"{host.name}:{host.port}", found):
        return None
    scheme = "https" if host.port == HTTPS else "http"
    given = os.environ.get(f"GDAL_{scheme.upper()}_PROXY") or found.get(scheme) or found.get("all")
    if not given or given in _ours:
        return None
    parts = urlsplit(given if "://" in given else f"http://{given}")
    return parts if parts.hostname else None


def proxy_login(proxy: SplitResult) -> str:
    """Return the header that opens a proxy, with its line end; "" if it needs none."""
    if not proxy.username:
        return ""
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n"
