"""Language and negation of a question, from its words alone."""

from __future__ import annotations

import pytest

from s2s_map.encoding.wording import negated, other_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("pájaros cantando en el bosque", "Spanish"),
        ("oiseaux dans la forêt", "French"),
        ("Kirchenglocken läuten im Dorf", "German"),
        ("鸟鸣", "Chinese or Japanese"),
        ("пение птиц", "Cyrillic letters"),
        ("นกร้อง", "Thai"),
        ("새소리", "Korean"),
        ("ዝናብ", "Ethiopic letters"),
        ("a wide river flowing slowly", None),
        ("birds and insects in a dense forest", None),
        ("corncrake", None),
        ("verkehrslärm", None),
        ("💥", None),
        ("12", None),
        ("", None),
    ],
)
def test_other_languages(text: str, language: str | None) -> None:
    assert other_language(text) == language


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("no traffic", ("", "traffic")),
        ("birds but no traffic", ("birds", "traffic")),
        ("birds without any cars", ("birds", "cars")),
        ("a street, no people", ("a street", "people")),
        ("There isn't any wind", ("", "wind")),
        ("forest free of engines, at dawn", ("forest", "engines")),
        ("northern birds", None),
        ("a note on a piano", None),
        ("nothing", None),
        ("knots of rope creaking", None),
    ],
)
def test_negations(text: str, found: tuple[str, str] | None) -> None:
    assert negated(text) == found
