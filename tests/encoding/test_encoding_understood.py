"""How well questions are understood: against nonsense, by the model that ships."""

from __future__ import annotations

import numpy as np
import pytest

from s2s_map.encoding.understood import (
    SentenceReader,
    Understood,
    Yardstick,
    judge_texts,
    load_nonsense,
)
from s2s_map.encoding.vector_cache import vectors_folder
from s2s_map.models.loaded import LoadedModel
from s2s_map.models.registry import load_model

UNDERSTOOD = (
    "waves lapping on a lake shore",
    "traffic and car horns in a busy street",
    "church bells",
    "mosquitoes",
    "rain",
    "wind over bare rock",
    "children playing",
    "sheep bleating",
    "a chainsaw",
    "frogs at night",
)
# Words that the text encoder has hardly met: far from all known sounds, but not like nonsense.
UNFAMILIAR = ("corncrake", "my favourite colour is blue", "quantum field theory")
NOT_UNDERSTOOD = (
    "asdfghjkl qwerty",
    "💥",
    ".",
    "zzzz",
    "blorf snig",
    "1234",
    "pájaros cantando en el bosque",
    "鸟鸣",
)


@pytest.fixture(scope="module")
def mini() -> LoadedModel:
    return load_model("s2s-mini")


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_plain_words_are_understood(mini: LoadedModel, text: str) -> None:
    assert _judge(mini, text).level == "understood"


@pytest.mark.parametrize("text", UNFAMILIAR)
def test_rare_words_and_other_matters_are_unfamiliar(mini: LoadedModel, text: str) -> None:
    assert _judge(mini, text).level == "unfamiliar"


@pytest.mark.parametrize("text", NOT_UNDERSTOOD)
def test_nonsense_and_other_languages_are_not_understood(mini: LoadedModel, text: str) -> None:
    one = _judge(mini, text)
    assert one.level == "not understood"
    assert "its map means nothing" in str(one)


def test_no_nonsense_of_the_list_passes_for_understood_more_often_than_said(
    mini: LoadedModel,
) -> None:
    """The level is the false alarm rate on the null itself: at most 5 % (and the 1 of p) pass."""
    levels = [one.level for one in judge_texts(mini, load_nonsense(), vectors_folder())]
    assert levels.count("understood") <= 0.05 * len(levels)


def test_a_model_that_ships_reads_sentences(mini: LoadedModel) -> None:
    assert isinstance(mini, SentenceReader)
    vector = mini.read_text("a dog barking")
    assert vector.shape == (mini.text_encoder.dim,)
    # A unit vector of float32: its squared length is off by at most dim roundings.
    length = float(np.sum(vector.astype(np.float64) ** 2))
    assert abs(length - 1) <= len(vector) * np.finfo(np.float32).eps


def _axis(*places: tuple[int, float]) -> list[float]:
    row = [0.0] * 8
    for place, value in places:
        row[place] = value
    return row


def test_p_values_of_a_yardstick_that_can_be_counted() -> None:
    """Known sounds lie on axes 0 and 1, nonsense on axes 2 and more: all cosines are exact."""
    known = np.array([_axis((0, 1)), _axis((1, 1))], dtype=np.float32)
    nonsense = np.array([_axis((i, 0.5), (0, 0.25)) for i in range(2, 8)], dtype=np.float32)
    nonsense = np.tile(nonsense, (8, 1))
    yardstick = Yardstick(("sea", "street"), known, nonsense)
    near = yardstick.judge("surf", np.array(_axis((0, 0.5), (1, 0.25)), dtype=np.float32))
    assert near == Understood("surf", "understood", 0.5, "sea", (0.25, 0.25), 0.02, 0.02)
    assert round(1 / 49, 3) == near.p
    far = yardstick.judge("?", np.array(_axis((2, 1.0)), dtype=np.float32))
    assert (far.level, far.p, far.nearest) == ("not understood", 1.0, "sea")


def _judge(model: LoadedModel, text: str) -> Understood:
    (one,) = judge_texts(model, (text,), vectors_folder())
    return one
