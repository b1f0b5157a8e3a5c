"""What profiles fill in of a `stac` entry, and what contradicts them."""

from __future__ import annotations

from typing import Any

import pytest

from s2s_map import load_catalog
from s2s_map.config.catalog import StacEntry
from s2s_map.config.load import parse_model
from s2s_map.config.stac_profiles import EARTH_SEARCH, PLANETARY_COMPUTER, PROFILES
from s2s_map.errors import ConfigError


def entry(**fields: Any) -> StacEntry:
    known: dict[str, Any] = {
        "type": "stac",
        "title": "t",
        "url": "https://stac.test/v1",
        "collection": "c",
        "time": "2020-01-01/2020-12-31",
        "sensor": "sentinel",
        "licence": "l",
        "attribution": "a",
    }
    return parse_model(StacEntry, known | fields, "catalog")


@pytest.mark.parametrize(
    ("collection", "profile"),
    [
        ("sentinel-2-l2a", "sentinel-2-l2a"),
        ("sentinel-2-c1-l2a", "sentinel-2-l2a"),
        ("landsat-c2-l2", "landsat-c2-l2"),
        ("hls2-s30", "hls"),
        ("hls2-l30", "hls"),
        ("naip", "naip"),
        ("anything", "sentinel-2-l2a"),
    ],
)
def test_a_collection_that_is_known_needs_no_profile(collection: str, profile: str) -> None:
    found = entry(collection=collection)
    known = PROFILES[profile]
    assert found.profile == profile
    assert found.known is known
    assert (found.pixel_m, found.clear, found.masked_bits) == (
        known.pixel_m,
        known.clear,
        known.masked_bits,
    )


def test_apis_call_bands_as_they_like() -> None:
    assert entry().assets.files == ("red", "green", "blue", "scl")
    other = entry(url=f"https://{PLANETARY_COMPUTER}/api/stac/v1")
    assert other.assets.files == ("B04", "B03", "B02", "SCL")
    # What an entry says goes first, and by its older name too.
    own = {"red": "r", "green": "g", "blue": "b", "scl": "classes"}
    assert entry(assets=own).assets.asked() == own
    assert entry(collection="naip").assets.colours == (("image", 1), ("image", 2), ("image", 3))
    assert entry(collection="hls2-l30", assets={"red": "B05"}).assets.files == (
        "B05",
        "B03",
        "B02",
        "Fmask",
    )


def test_a_search_that_is_kept_stays_what_it_was() -> None:
    """As `search.json` of earlier versions has it."""
    assets = load_catalog()["sentinel2_planetary_computer"].assets.asked()  # type: ignore[union-attr]
    assert assets == {"red": "B04", "green": "B03", "blue": "B02", "scl": "SCL"}


def test_a_mask_of_another_kind_takes_the_place_of_the_profiles() -> None:
    found = entry(collection="landsat-c2-l2", clear=[4], assets={"mask": "classes"})
    assert (found.clear, found.masked_bits) == ((4,), ())
    found = entry(masked_bits=[3])
    assert (found.clear, found.masked_bits) == ((), (3,))
    bare = entry(assets={"mask": None})
    assert (bare.clear, bare.masked_bits, bare.assets.mask) == ((), (), None)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"profile": "landsat"}, "did you mean landsat-c2-l2?"),
        ({"profile": "radar"}, "one of sentinel-2-l2a, "),
        ({"clear": [4], "masked_bits": [3]}, "of classes or of bits"),
        ({"profile": "visual", "clear": [4]}, "does not name"),
        ({"profile": "visual", "assets": {"mask": "m"}}, "neither clear: nor masked_bits:"),
        ({"collection": "naip", "max_cloud": 10}, "do not say how cloudy they are"),
        ({"scale": None}, "scale: is needed"),
        ({"assets": {"scl": "a", "mask": "b"}}, "not both"),
        ({"masked_bits": [16]}, "masked_bits"),
        ({"assets": {"red": "a.0", "green": "a.1", "blue": "a.2"}}, "bands are counted from 1"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        entry(**fields)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("collection", ["landsat-c2-l2", "naip", "sentinel-2-l1c"])
def test_collections_whose_readers_pay_are_refused_with_a_free_one(collection: str) -> None:
    url = f"https://{EARTH_SEARCH}/v1"
    with pytest.raises(ConfigError, match="readers pay or log in; use the entry") as caught:
        entry(url=url, collection=collection)
    free = str(caught.value).partition("use the entry ")[2].partition(",")[0]
    assert free in load_catalog()
    assert entry(url=url, collection=collection, env=["AWS_REQUEST_PAYER"]).collection == collection
