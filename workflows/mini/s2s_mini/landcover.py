"""The land covers that captions are written for."""

from __future__ import annotations

from typing import Literal

type Cover = Literal["water", "forest", "green", "bare", "city", "suburb", "desert", "salt"]

COVERS: tuple[Cover, ...] = (
    "water",  # lakes, reservoirs, rivers, the sea
    "forest",  # closed tree cover
    "green",  # crops standing and pasture
    "bare",  # ploughed or harvested fields
    "city",  # dense built-up land
    "suburb",  # houses among gardens and trees
    "desert",  # bare land without fields
    "salt",  # salt and mud flats
)
"""Land covers in the order of every array of shares."""
