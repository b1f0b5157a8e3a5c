"""Reading what a scene shows of a window: its colours as numbers, and where it saw the ground."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from s2s_map.catalog.stac_items import Item
from s2s_map.config.stac import StacEntry
from s2s_map.config.stac_profiles import band_of
from s2s_map.imagery.sources.stac.reader import Files, Method, Wanted
from s2s_map.imagery.sources.stac.reflectance import boa_offset, corrected, taken_at
from s2s_map.imagery.sources.stac.values import (
    is_clear,
    level_numbers,
    reflectance_numbers,
    stated_scale,
)
from s2s_map.opening.open_files import remote_environment
from s2s_map.opening.signing import signed

type Load = tuple[NDArray[np.uint16], NDArray[np.uint8]]
"""Numbers (3, rows, columns) as `values` has them, and classes of the same pixels."""

SEEN = 4
"""Class of what was seen where a mask has none of its own: as surely as vegetation of SCL."""

# By how much pixels may differ in size and be called the same.
_SAME = 1.01
_LAST_CLASS = 255
# Levels need a number for what is none of them.
_NO_LEVEL = -1


def load_scene(item: Item, box: GeoBox, entry: StacEntry, *, renew: bool) -> Load:
    """Read a scene onto pixels.

    Args:
        item: The scene.
        box: The pixels, in its CRS.
        entry: The catalog entry.
        renew: Fetch another token although the present one has not expired.

    Raises:
        ImageryError: For a file that is no plain image, or breaks.
        ValueError: For an item that does not say when it was taken, and has to.
        RasterioError: For a file that breaks.
    """
    token_url = entry.token_url
    if token_url is not None:
        token_url = token_url.replace("{collection}", entry.collection)
        signed(item["assets"][entry.assets.files[0]]["href"], token_url, renew=renew)
    files, known = Files(entry.url, entry.redirects_to), entry.known
    taken = taken_at(item["properties"]) if known.values == "sentinel-2" else None

    def read(name: str, wanted: Wanted) -> NDArray[Any]:
        return files.read(signed(item["assets"][name]["href"], token_url), box, wanted)

    colours = []
    with remote_environment():
        method = _method(item, box, entry)
        for name, band in entry.assets.colours:
            asset = item["assets"][name]
            if known.values == "levels":
                wanted = Wanted(
                    band, "int16", known.nodata, _NO_LEVEL, method, "uint8", known.has_alpha
                )
                colours.append(read(name, wanted))
                continue
            nodata = known.nodata or 0
            if taken is not None:
                stored = read(name, Wanted(band, "uint16", nodata, nodata, method))
                colours.append(corrected(stored, boa_offset(item["properties"], asset, taken)))
                continue
            stored = read(name, Wanted(band, "int32", nodata, nodata, method))
            colours.append(reflectance_numbers(stored, nodata, *stated_scale(asset, band, known)))
        numbers = np.stack(colours)
        if known.values == "levels":
            numbers = level_numbers(numbers)
        if entry.assets.mask is None:
            return numbers, np.full(tuple(box.shape), SEEN, dtype=np.uint8)
        name, band = band_of(entry.assets.mask)
        mask = read(name, _mask_wanted(band, entry))
    if entry.clear:
        # Cut to 8 bit, a number that is no class may be one that is clear: 1024, cloud, is 0.
        return np.where(mask > _LAST_CLASS, np.uint16(0), numbers), mask.astype(np.uint8)
    seen = is_clear(mask, entry.clear, entry.masked_bits)
    return numbers, np.where(seen, SEEN, 0).astype(np.uint8)


def place_of(item: Item, entry: StacEntry) -> tuple[tuple[int, int], list[float]] | None:
    """Return the shape and transform of a scene's pixels, of its red or of all; None if unsaid."""
    red = item["assets"].get(entry.assets.colours[0][0], {})
    for fields in (red, item["properties"]):
        try:
            rows, cols = map(int, fields["proj:shape"])
            transform = [float(value) for value in fields["proj:transform"]]
        except (KeyError, TypeError, ValueError):
            continue  # Some say null.
        if len(transform) >= 6 and all(map(math.isfinite, transform)) and transform[0]:
            return (rows, cols), transform
    return None


def _method(item: Item, box: GeoBox, entry: StacEntry) -> Method:
    place = place_of(item, entry)
    own = entry.pixel_m if place is None else abs(place[1][0])
    wanted = float(box.resolution.x)
    if wanted > own * _SAME:
        return "average"
    return "bilinear" if wanted * _SAME < own else "nearest"


def _mask_wanted(band: int, entry: StacEntry) -> Wanted:
    # Beyond the file nothing was seen: class 0, or every bit. Files may say that 0 or 1 is no data
    # in them, which their bits and classes say as well.
    fill = 0 if entry.clear else 65_535
    return Wanted(band, "uint16", None, fill, "nearest")
