"""What `scale:` of a catalog entry may be."""

from __future__ import annotations

from typing import Any

import pytest

from s2s_map.config.catalog import RasterEntry, StacEntry, ValueScale
from s2s_map.config.load import parse_model
from s2s_map.config.scale import (
    PRESETS,
    MatchScale,
    MeasuredScale,
    PercentileScale,
    written,
)
from s2s_map.errors import ConfigError

BASE = {
    "type": "raster",
    "title": "t",
    "uri": "x.tif",
    "sensor": "landsat",
    "licence": "CC0-1.0",
    "attribution": "a",
}
ONE = {"min": 1, "max": 2}


def entry(**fields: Any) -> RasterEntry:
    return parse_model(RasterEntry, {**BASE, **fields}, "catalog")


def test_a_scale_is_numbers_measured_or_a_name() -> None:
    assert entry(scale=ONE).scale == ValueScale(min=1, max=2)
    assert entry(scale=[ONE, ONE, {"min": 0, "max": 9, "gamma": 2}]).scale == (
        ValueScale(min=1, max=2),
        ValueScale(min=1, max=2),
        ValueScale(min=0, max=9, gamma=2),
    )
    assert entry(scale="auto").scale == PercentileScale(percentiles=(0.5, 99.7), gamma=1.3)
    assert entry(scale={"percentiles": [2, 98], "gamma": 1}).scale == PercentileScale(
        percentiles=(2, 98), gamma=1
    )
    assert entry(scale="match").scale == MatchScale()
    for scale in (ONE, [ONE] * 3, "auto", "match", "planetscope"):
        one = entry(scale=scale)
        assert RasterEntry.model_validate_json(one.model_dump_json()) == one


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        ("landsat-l2", "did you mean landsat-c2-l2"),
        ("nonsense", "auto, match, landsat-c2-l1"),
        ([ONE, ONE], "missing"),
        ({"percentiles": [99, 1]}, "lower first"),
        ({"percentiles": [-1, 101]}, "less than or equal to 100"),
        ({"min": 3, "max": 2}, "min 3 is not below max 2"),
        ({"curves": [[[1, 2], [1, 3]]] * 3}, "ascend"),
        ({"percentiles": [1, 99], "gama": 2}, "gama"),
        (5, "scale"),
    ],
)
def test_mistakes_are_answered_in_a_line(scale: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        entry(scale=scale)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "number", "reflectance"),
    [
        # From the products' documentation: see the `says` of each preset.
        ("landsat-c2-l1", 10_000, 0.1),
        ("landsat-c2-l2", 7_273, 0.0),
        ("landsat-c2-l2", 18_182, 0.3),
        ("sentinel2-l1c", 2_000, 0.1),
        ("sentinel2-l2a", 4_000, 0.3),
        ("sentinel2-l2a-before-2022", 3_000, 0.3),
        ("planetscope", 1_000, 0.1),
    ],
)
def test_names_stand_for_documented_numbers(name: str, number: int, reflectance: float) -> None:
    found = entry(scale=name)
    assert found.nodata == 0.0
    scale = found.scale
    assert isinstance(scale, ValueScale)
    share = (number - scale.min) / (scale.max - scale.min)
    assert 0.5 * share == pytest.approx(reflectance, abs=2e-5)


def test_naip_is_8_bit_as_it_is_and_a_stated_nodata_stays() -> None:
    naip = entry(scale="naip")
    assert (naip.scale, naip.nodata) == (ValueScale(min=0, max=255), None)
    assert entry(scale="planetscope", nodata=7).nodata == 7
    assert all(preset.says for preset in PRESETS.values())


def test_scenes_of_a_search_are_reflectance_already() -> None:
    fields = {
        **{k: v for k, v in BASE.items() if k != "uri"},
        "type": "stac",
        "url": "https://host/",
        "collection": "c",
        "time": "2020",
    }
    assert StacEntry.model_validate({**fields, "time": "2020-01-01", "scale": "auto"}).scale
    with pytest.raises(ConfigError, match="by themselves; numbers, auto or match"):
        parse_model(
            StacEntry, {**fields, "time": "2020-01-01", "scale": "sentinel2-l2a"}, "catalog"
        )


def test_measured_numbers_can_be_written_into_a_catalog() -> None:
    import yaml

    bands = (ValueScale(min=5890, max=8952, gamma=1.3),) * 3
    measured = MeasuredScale(asked=PercentileScale(), bands=bands)
    assert entry(scale=yaml.safe_load(written(measured))).scale == bands
    curve = ((5890.123456, 0.0), (8924.4, 255.0))
    measured = MeasuredScale(asked=MatchScale(), curves=(curve, curve, curve))
    again = entry(scale=yaml.safe_load(written(measured))).scale
    assert isinstance(again, MeasuredScale)
    assert again.curves == ((((5890.12346, 0.0), (8924.4, 255.0))),) * 3
