"""An environment that names no proxies."""

from __future__ import annotations

import pytest


def without_proxies(patch: pytest.MonkeyPatch) -> None:
    """Take proxies out of the environment; what a test makes of it is put back at its end."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for each in (name, name.upper()):
            # A variable that is only deleted is not remembered where it was not set.
            patch.setenv(each, "")
            patch.delenv(each)
    patch.setattr("s2s_map.opening.proxies._said", {})
