"""Time slots and the rest of `metadata:`."""

from __future__ import annotations

import pytest

from s2s_map.config.load import parse_model
from s2s_map.config.metadata import MetadataConfig
from s2s_map.config.run import RunConfig
from s2s_map.errors import ConfigError

GOOD = {"output": "out", "source": "somewhere", "queries": [{"text": "birds"}]}


def test_defaults_are_those_of_the_published_demo() -> None:
    told = MetadataConfig()
    assert (told.audio_source, told.caption_source, told.place) == ("yfcc", "meta", True)
    assert (told.hour_reference, told.masked_tokens) == ("solar", "zero")
    assert told.slot_labels == ("any",)


@pytest.mark.parametrize(
    ("told", "labels"),
    [
        ({"time_slots": [{"month": 5, "hour": 13}]}, ("05-13h",)),
        ({"time_slots": [{"month": 12}, {"hour": 0}]}, ("12", "00h")),
        ({"time_slots": [{"month": 5, "hour": 3}], "hour_reference": "utc"}, ("05-03h-utc",)),
        (
            {
                "time_slots": [{"month": 1, "hour": 3}, {"month": 1}],
                "hour_reference": "local",
                "time_zone": "Europe/Zurich",
            },
            ("01-03h-local", "01"),
        ),
    ],
)
def test_labels(told: dict[str, object], labels: tuple[str, ...]) -> None:
    assert MetadataConfig.model_validate(told).slot_labels == labels


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"time_slots": [{}]}, "a month, an hour or both"),
        ({"time_slots": [{"month": 13}]}, "less than or equal to 12"),
        ({"time_slots": [{"hour": 24}]}, "less than or equal to 23"),
        ({"time_slots": [{"hour": 5}, {"hour": 5}]}, "the time slot 05h is listed twice"),
        ({"hour_reference": "local"}, "give both"),
        ({"time_zone": "Europe/Zurich"}, "give both"),
        ({"hour_reference": "local", "time_zone": "Mars/Olympus"}, "not a time zone"),
        ({"hour_reference": "local", "time_zone": "../../etc/passwd"}, "not a time zone"),
        ({"audio_source": "freesound", "time_slots": [{"hour": 5}]}, "leave out the hours"),
        ({"audio_source": "birdnet"}, "'yfcc', 'iNat', 'aporee' or 'freesound'"),
        ({"time_slot": []}, "did you mean 'time_slots'?"),
    ],
)
def test_one_line_says_what_is_wrong(told: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_model(RunConfig, {**GOOD, "metadata": told}, "x.yaml")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
