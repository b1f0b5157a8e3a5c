"""Whether digital numbers of Sentinel-2 still carry 1,000: by the pixels, not the metadata alone.

Public catalogs are wrong about it now and then, either way, and the imagery is then 0.1 too dark
or too bright. Vegetation tells: it reflects 2 to 8 % of red light.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from s2s_map.catalog.stac_items import Item, tile_of
from s2s_map.config.stac import StacEntry
from s2s_map.errors import S2SMapError
from s2s_map.imagery.sources.stac.reflectance import (
    BASELINE_0400,
    BOA_ADD_OFFSET,
    OWN_OFFSET,
    baseline_of,
    boa_offset,
    taken_at,
)
from s2s_map.opening.open_files import open_dataset, reading, remote_settings
from s2s_map.opening.signing import signed

# Scene classification.
_VEGETATION, _BARE = 4, 5
_LEAST_PIXELS = 50
# Numbers of vegetation in red, with the 1,000 in them: 0 to 12 % of the light.
_CARRIED = (1000.0, 2200.0)
# What clear land may be below 1,000 where it is carried: noise of dark shadows.
_NOISE = 0.05
# By how much the other offset must fit better, in numbers.
_SURE = 500.0

_READERS = 8
_SIDE_PX = 512


@dataclass(frozen=True)
class Evidence:
    """What the pixels of a scene say.

    Attributes:
        offset: What must be added; None where they do not say.
        median: Of clear land in red, as stored; None without clear land.
    """

    offset: int | None
    median: float | None


def weigh(red: NDArray[np.integer[Any]], classes: NDArray[np.integer[Any]]) -> Evidence:
    """Return what numbers say about their offset.

    Clear land below 1,000 means that the offset is not due, or is applied already; vegetation
    above 1,000, as far as vegetation goes, that it is due.

    Args:
        red: Digital numbers of red, 0 where there are none.
        classes: Scene classification of the same pixels.
    """
    known = red > 0
    plants = red[known & (classes == _VEGETATION)]
    land = red[known & np.isin(classes, (_VEGETATION, _BARE))]
    median = float(np.median(land)) if land.size >= _LEAST_PIXELS else None
    if plants.size >= _LEAST_PIXELS:
        middle, low = float(np.median(plants)), float(np.percentile(plants, 2))
        if middle < _CARRIED[0]:
            return Evidence(0, median)
        if middle <= _CARRIED[1] and low >= _CARRIED[0] - 50.0:
            return Evidence(BOA_ADD_OFFSET, median)
    if median is not None and float((land < _CARRIED[0]).mean()) > _NOISE:
        return Evidence(0, median)
    return Evidence(None, median)


def with_offsets(items: Sequence[Item], entry: StacEntry) -> list[Item]:
    """Return scenes with `s2s_map:boa_offset` where the pixels tell otherwise than the metadata.

    Of every scene whose numbers may carry 1,000 a coarse overview of red and of the classes is
    read. Scenes of one tile whose own pixels do not say go with those that do.

    Args:
        items: The scenes.
        entry: Their catalog entry.
    """
    if entry.known.values != "sentinel-2":
        return list(items)
    doubtful = [i for i, item in enumerate(items) if _may_carry(item, entry)]
    with ThreadPoolExecutor(_READERS, thread_name_prefix="offsets") as pool:
        found = list(pool.map(lambda i: _look(items[i], entry), doubtful))
    evidence = dict(zip(doubtful, found, strict=True))
    tiles: dict[str, list[float]] = defaultdict(list)
    for i, one in evidence.items():
        if one.offset is not None and one.median is not None:
            tiles[tile_of(items[i])].append(one.median + one.offset)
    settled = list(items)
    for i, one in evidence.items():
        item = items[i]
        stated = _stated(item, entry)
        offset = one.offset
        others = tiles.get(tile_of(item))
        if offset is None and others and one.median is not None:
            wanted = float(np.median(others)) - one.median
            other = BOA_ADD_OFFSET - stated
            if abs(wanted - other) + _SURE < abs(wanted - stated):
                offset = other
        if offset is not None and offset != stated:
            settled[i] = {**item, "properties": {**item["properties"], OWN_OFFSET: offset}}
    return settled


def _may_carry(item: Item, entry: StacEntry) -> bool:
    baseline = baseline_of(item["properties"])
    return _stated(item, entry) != 0 or (baseline is not None and baseline >= BASELINE_0400)


def _stated(item: Item, entry: StacEntry) -> int:
    band = item["assets"].get(entry.assets.files[0], {})
    return boa_offset(item["properties"], band, taken_at(item["properties"]))


def _look(item: Item, entry: StacEntry) -> Evidence:
    if entry.assets.mask is None or not entry.clear:
        # Bits are no classes: cloud of one mask is vegetation's number.
        return Evidence(None, None)
    try:
        red = _coarse(item, entry.assets.files[0], entry, None)
        classes = _coarse(item, entry.assets.mask, entry, red.shape)
    except (S2SMapError, RasterioError, OSError, KeyError):
        # What cannot be read says nothing, and is a hole when it is read for the map.
        return Evidence(None, None)
    return weigh(red, classes)


def _coarse(
    item: Item, asset: str, entry: StacEntry, shape: tuple[int, ...] | None
) -> NDArray[np.integer[Any]]:
    """Return the coarsest overview of some 512 px of an asset, or the middle of one without."""
    token_url = entry.token_url
    if token_url is not None:
        token_url = token_url.replace("{collection}", entry.collection)
    settings = remote_settings(
        signed(item["assets"][asset]["href"], token_url), entry.url, entry.redirects_to
    )
    with settings.environment(), reading(settings), open_dataset(settings) as image:
        side = max(image.width, image.height)
        levels = [n for n, f in enumerate(image.overviews(1)) if side / f >= _SIDE_PX / 2]
        if levels:
            with open_dataset(settings, levels[-1]) as small:
                small_shape = (small.height, small.width) if shape is None else shape
                return np.asarray(small.read(1, out_shape=small_shape))
        # Both assets show the same ground: the same share of each, in the middle.
        share = min(1.0, 4 * _SIDE_PX * (10.0 / abs(image.transform.a)) / side)
        high, wide = round(image.height * share), round(image.width * share)
        window = Window((image.width - wide) // 2, (image.height - high) // 2, wide, high)
        wanted = (min(high, _SIDE_PX), min(wide, _SIDE_PX)) if shape is None else shape
        return np.asarray(image.read(1, window=window, out_shape=wanted))
