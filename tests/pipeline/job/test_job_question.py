from __future__ import annotations

from typing import Any

import pytest

from s2s_map.config.run import QueryConfig
from s2s_map.errors import QueryError
from s2s_map.pipeline.job.question import make_question


def test_a_question_is_what_a_config_would_hold() -> None:
    assert make_question("b", "birds", None) == QueryConfig(name="b", text="birds")
    mean = make_question(None, "birds", None, ["crickets"], ["traffic"])
    assert mean == QueryConfig(texts=("birds", "crickets"), minus=("traffic",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no question"),
        ({"text": ""}, "the text of a query is empty"),
        ({"text": "birds", "minus": [" "]}, "the text of a query is empty"),
        ({"text": "x" * 100_000}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"text": "birds", "name": "a\nb"}, "name"),
        ({"text": "birds", "name": ""}, "name"),
        ({"audio": "a\0.wav"}, "audio"),
        ({"audio": "x" * 5_000}, "audio"),
        ({"texts": ["birds"] * 2_000}, "texts"),
    ],
)
def test_hostile_questions_are_one_line(given: dict[str, Any], said: str) -> None:
    words = {"name": None, "text": None, "audio": None, **given}
    with pytest.raises(QueryError, match=said) as raised:
        make_question(**words)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 5_000
