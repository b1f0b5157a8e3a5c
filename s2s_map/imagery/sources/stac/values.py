"""What files of a scene hold, as numbers that scenes of one collection share: pure functions.

Numbers are uint16, 0 where nothing was seen: 10,000 times the reflectance, or levels of 8 bit
plus 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.scale import FixedScale, ValueScale
from s2s_map.config.stac_profiles import StacProfile
from s2s_map.imagery.scaling import to_8bit
from s2s_map.imagery.sources.stac.reflectance import HIGHEST, QUANTIFICATION

_LEVELS = np.arange(256, dtype=np.float32)


def stated_scale(asset: Mapping[str, Any], band: int, profile: StacProfile) -> tuple[float, float]:
    """Return reflectance a number, and that of number 0, of a band.

    As the item says in ``raster:bands`` or, from STAC 1.1 on, in ``bands`` or the asset itself;
    what it does not say, or what is no number, is as the profile has it.

    Args:
        asset: The asset's own fields.
        band: Number of the band.
        profile: What is known of the collection.
    """
    own: Mapping[str, Any] = {}
    for name in ("raster:bands", "bands"):
        bands = asset.get(name)
        if isinstance(bands, Sequence) and len(bands) >= band and isinstance(bands[band - 1], dict):
            own = {**bands[band - 1], **own}

    def said(name: str, known: float) -> float:
        value = own.get(name, own.get(f"raster:{name}", asset.get(f"raster:{name}")))
        good = isinstance(value, int | float) and math.isfinite(value)
        return float(value) if good and (name == "offset" or value > 0.0) else known

    return said("scale", profile.factor), said("offset", profile.offset)


def reflectance_numbers(
    stored: NDArray[Any], nodata: int, factor: float, offset: float
) -> NDArray[np.uint16]:
    """Return stored numbers as 10,000 times the reflectance, 0 only where there is no data.

    Args:
        stored: As the file holds them.
        nodata: What stands where nothing was seen.
        factor: Reflectance a number.
        offset: Reflectance of number 0.
    """
    values = np.rint(stored * (factor * QUANTIFICATION) + offset * QUANTIFICATION)
    return np.where(stored == nodata, 0, np.clip(values, 1, HIGHEST)).astype(np.uint16)


def level_numbers(stored: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Return levels plus 1, 0 where there is no data.

    Args:
        stored: Levels 0 to 255, below 0 where the file says that a band has none, shape
            (3, ...). Where no band is above 0 nothing was seen.
    """
    seen = (stored > 0).any(axis=0)
    return np.where(seen, np.clip(stored, 0, 255) + 1, 0).astype(np.uint16)


def shown_levels(numbers: NDArray[np.uint16], scale: FixedScale | None) -> NDArray[np.uint8]:
    """Return numbers of `level_numbers` as 8 bit; 0 where there is no data.

    Args:
        numbers: Of shape (3, ...).
        scale: From levels to levels; None: as they are.
    """
    levels = np.maximum(numbers, 1) - 1
    if scale is None:
        return levels.astype(np.uint8)
    if isinstance(scale, ValueScale):
        shown: NDArray[np.uint8] = to_8bit(_LEVELS, scale)[levels]
        return shown
    tables = to_8bit(np.broadcast_to(_LEVELS, (3, 256)), scale)
    return np.stack([table[band] for table, band in zip(tables, levels, strict=True)])


def is_clear(
    mask: NDArray[np.integer[Any]], clear: Sequence[int], masked_bits: Sequence[int]
) -> NDArray[np.bool_]:
    """Return where a mask says that the ground was seen.

    Args:
        mask: Classes, or bits.
        clear: Classes that count as seen; none where it is one of bits.
        masked_bits: Bits that hide the ground.
    """
    if clear:
        return np.isin(mask, clear)
    hidden = sum(1 << bit for bit in masked_bits)
    seen: NDArray[np.bool_] = (mask.astype(np.int64) & hidden) == 0
    return seen
