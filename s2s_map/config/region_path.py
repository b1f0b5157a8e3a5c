"""Paths of region files in configs: which texts are one, and the layer after the colon."""

from __future__ import annotations

import re
from pathlib import Path

FORMATS = (".geojson", ".json", ".gpkg", ".shp", ".fgb", ".kml", ".kmz")
"""How names of region files end."""

_WITH_LAYER = re.compile(rf"(.*(?:{'|'.join(map(re.escape, FORMATS))})):(.+)", re.I | re.S)


def file_and_layer(text: str) -> tuple[Path, str | None]:
    """Return the path that a text begins with, and the layer after a colon; None for none.

    Args:
        text: Such as ``parks.gpkg`` or ``parks.gpkg:reserves``.
    """
    found = _WITH_LAYER.fullmatch(text)
    return (Path(found[1]), found[2]) if found else (Path(text), None)
