"""Where models that do not come with the package lie."""

from __future__ import annotations

import os
from pathlib import Path

MODELS_VARIABLE = "S2S_MAP_MODELS"


def models_folder() -> Path:
    """The folder of fetched and converted models.

    The environment variable S2S_MAP_MODELS, else `models` in the user's data folder (on Linux
    ~/.local/share/s2s-map/models).
    """
    chosen = os.environ.get(MODELS_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_data_path

    return user_data_path("s2s-map", appauthor=False) / "models"
