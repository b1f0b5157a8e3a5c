"""What each patch tells the model: its own place, and the solar hour there."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from s2s_map.config.metadata import MetadataConfig, TimeSlot
from s2s_map.encoding.patch_metadata import PatchMetadata, metadata_for, places, time_slots_of
from s2s_map.encoding.solar import solar_hours
from s2s_map.errors import ConfigError, RegionError
from s2s_map.models.metadata import encode_hour, encode_place

ALL = ("asource", "tsource", "latlong", "month", "time")
UTM21S = "EPSG:32721"


def settings(**told: object) -> MetadataConfig:
    return MetadataConfig.model_validate(told)


@pytest.mark.parametrize(
    ("told", "hours"),
    [
        # At 0, 7.4 and 7.6 degrees east, Zurich, the date line and New York.
        ({}, [13, 13, 13, 13, 13, 13]),
        ({"hour_reference": "utc"}, [13, 13, 14, 14, 1, 8]),
        # In May Zurich's clock is two hours ahead of UTC.
        ({"hour_reference": "local", "time_zone": "Europe/Zurich"}, [11, 11, 12, 12, 23, 6]),
    ],
)
def test_solar_hours(told: dict[str, object], hours: list[int]) -> None:
    longitude = np.array([0.0, 7.4, 7.6, 8.5, 179.9, -74.0])
    slot = TimeSlot(month=5, hour=13)
    assert solar_hours(slot, settings(**told), longitude).tolist() == hours


@pytest.mark.parametrize(("month", "hour"), [(1, 12), (7, 11), (None, 12)])
def test_a_local_clock_keeps_summer_time(month: int | None, hour: int) -> None:
    told = settings(hour_reference="local", time_zone="Europe/Zurich")
    # The meridian of Central European Time.
    found = solar_hours(TimeSlot(month=month, hour=12), told, np.array([15.0]))
    assert found.tolist() == [hour]


def test_a_zone_of_half_an_hour() -> None:
    told = settings(hour_reference="local", time_zone="Asia/Kolkata")
    assert solar_hours(TimeSlot(hour=12), told, np.array([82.5])).tolist() == [12]


def test_a_slot_without_hour_has_none() -> None:
    assert solar_hours(TimeSlot(month=5), settings(), np.zeros(3)) is None


def test_places_are_longitude_and_latitude() -> None:
    # 500 km is the central meridian of a UTM zone, 10,000 km the equator of a southern one.
    longitude, latitude = places(np.array([[500_000.0, 10_000_000.0]]), UTM21S)
    assert (longitude[0], latitude[0]) == pytest.approx((-57.0, 0.0), abs=1e-9)


def test_a_centre_off_the_earth_is_refused() -> None:
    with pytest.raises(RegionError, match="not a place on Earth"):
        places(np.array([[0.0, 0.0], [1e9, 1e9]]), "EPSG:6933")


def test_metadata_of_patches() -> None:
    told = settings(
        time_slots=[{"month": 5, "hour": 13}, {"month": 6}],
        hour_reference="utc",
        audio_source="iNat",
        caption_source=None,
    )
    centres = np.array([[500_000.0, 7_000_000.0], [700_000.0, 7_100_000.0]])
    first, second = PatchMetadata(told, UTM21S).of(centres)
    longitude, latitude = places(centres, UTM21S)
    expected = encode_place(torch.tensor(latitude), torch.tensor(longitude))
    for one in (first, second):
        torch.testing.assert_close(one.values["latlong"], expected)
        assert one.values["asource"].tolist() == [1, 1]
        assert not one.mask("tsource", 2).any()
    # 13 UTC is 9 in the morning at 57 and at 55 degrees west.
    torch.testing.assert_close(first.values["time"], encode_hour(torch.tensor([9, 9])))
    assert not second.mask("time", 2).any()
    assert second.mask("month", 2).all()


def test_without_slots_neither_month_nor_hour_is_told() -> None:
    (one,) = PatchMetadata(settings(place=False), UTM21S).of(np.zeros((2, 2)) + 5e5)
    assert not any(one.mask(field, 2).any() for field in ("latlong", "month", "time"))


def test_it_pickles() -> None:
    one = PatchMetadata(settings(time_slots=[{"month": 5}]), UTM21S)
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301


def test_a_model_without_metadata_refuses_time_slots() -> None:
    assert metadata_for(None, (), "s2s-mini", UTM21S) is None
    assert time_slots_of(None) == ("any",)
    with pytest.raises(ConfigError, match="s2s-mini, which was trained without metadata; leave"):
        metadata_for(settings(time_slots=[{"month": 5}]), (), "s2s-mini", UTM21S)


def test_a_model_refuses_what_it_does_not_know() -> None:
    sounding_earth = ALL[1:]
    assert metadata_for(None, sounding_earth, "se", UTM21S) is not None
    with pytest.raises(ConfigError, match="audio_source for the model se"):
        metadata_for(settings(audio_source="iNat"), sounding_earth, "se", UTM21S)
    with pytest.raises(ConfigError, match="hours in time_slots"):
        metadata_for(settings(time_slots=[{"hour": 5}]), ("latlong",), "p", UTM21S)
