"""Where things are kept between runs that may be deleted at any time."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "S2S_MAP_CACHE"


def cache_folder(name: str) -> Path:
    """Return a folder of the cache; it may not exist yet.

    It lies in the folder that the environment variable S2S_MAP_CACHE names, else in the user's
    cache (on Linux ~/.cache/s2s-map).
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser() / name
    from platformdirs import user_cache_path

    return user_cache_path("s2s-map", appauthor=False) / name
