"""The schema of catalog entries."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from s2s_map.config.catalog import (
    SENSOR_PRESETS,
    RasterEntry,
    SensorProfile,
    ValueScale,
    parse_time,
)

FIELDS: dict[str, object] = {
    "type": "raster",
    "title": "a title",
    "uri": "images/*.tif",
    "sensor": "sentinel",
    "licence": "CC-BY-4.0",
    "attribution": "me",
}


def entry(**fields: object) -> RasterEntry:
    return RasterEntry.model_validate(FIELDS | fields)


def test_defaults() -> None:
    plain = entry()
    assert plain.bands == (1, 2, 3)
    assert plain.scale is None
    assert plain.nodata is None
    assert plain.uris == ("images/*.tif",)
    assert plain.interval is None


@pytest.mark.parametrize("name", SENSOR_PRESETS)
def test_sensors_by_name(name: str) -> None:
    assert entry(sensor=name).sensor == SensorProfile(**SENSOR_PRESETS[name])


def test_patches_of_the_presets() -> None:
    assert SENSOR_PRESETS["sentinel"]["patch_m"] == 256 * 10
    assert SENSOR_PRESETS["bing"]["patch_m"] == 300 * 0.6
    assert SENSOR_PRESETS["googleEarth"]["patch_m"] == 256 * 0.2


def test_a_sensor_of_ones_own() -> None:
    assert entry(sensor={"gsd_m": 3, "patch_m": 720}).sensor.patch_m == 720


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sensor": "sentinal"}, "unknown sensor 'sentinal'; one of sentinel"),
        ({"sensor": {"gsd_m": 0, "patch_m": 10}}, "greater than or equal"),
        ({"bands": [0, 1, 2]}, "greater than or equal to 1"),
        ({"bands": [1, 2]}, "required"),
        ({"uri": ""}, "empty"),
        ({"uri": []}, "empty"),
        ({"uri": ["a.tif", " "]}, "empty"),
        ({"scale": {"min": 5, "max": 5}}, "not below max"),
        ({"scale": {"min": 0, "max": 5, "gamma": 0}}, "greater than or equal"),
        ({"time": "last May"}, "not an ISO 8601"),
        ({"time": "2021-01-01/2020-01-01"}, "ends before it starts"),
        ({"licence": ""}, "at least 1 character"),
        ({"colour": "blue"}, "Extra inputs"),
        ({"type": "stac"}, "raster"),
    ],
)
def test_what_is_wrong_is_said(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        entry(**fields)


def test_entries_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        entry().title = "another"  # type: ignore[misc]


def test_times() -> None:
    day = (datetime(2020, 5, 18), datetime(2020, 5, 18, 23, 59, 59, 999_999))
    assert parse_time("2020-05-18") == day
    assert entry(time=date(2020, 5, 18)).interval == day
    assert entry(time="2020-05-18/2020-06-01").interval == (
        datetime(2020, 5, 18),
        datetime(2020, 6, 1, 23, 59, 59, 999_999),
    )
    instant = datetime(2020, 5, 18, 13, 30)
    assert parse_time("2020-05-18T13:30") == (instant, instant)


def test_every_field_says_what_it_is() -> None:
    for model in (RasterEntry, SensorProfile, ValueScale):
        for name, field in model.model_fields.items():
            assert (field.description or "").endswith("."), name


def test_entries_come_back_from_their_json() -> None:
    full = entry(uri=["a.tif", "b.tif"], scale={"min": 0, "max": 3000}, time="2020-05-18")
    assert RasterEntry.model_validate_json(full.model_dump_json()) == full


def test_times_with_and_without_a_zone_go_together() -> None:
    start, end = parse_time("2020-05-18T10:00+02:00/2020-05-18")
    assert start == datetime(2020, 5, 18, 8, tzinfo=UTC)
    assert end == datetime(2020, 5, 18, 23, 59, 59, 999_999, tzinfo=UTC)
    with pytest.raises(ValueError, match="ends before it starts"):
        parse_time("2020-05-18T01:00/2020-05-18T01:30+02:00")
