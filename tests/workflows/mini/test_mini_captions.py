"""The written vocabulary and the captions made from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.errors import DataError
from s2s_mini.captions import keep_far_from, write_captions
from s2s_mini.landcover import COVERS
from s2s_mini.vocabulary import (
    GROUPS,
    cover_weights,
    load_held_out,
    load_vocabulary,
)

MIN_PHRASES = 60


@pytest.fixture(scope="module")
def captions() -> list[tuple[str, tuple[float, ...]]]:
    return [(c.text, c.weights) for c in write_captions(load_vocabulary())]


def test_every_group_of_phrases_is_known() -> None:
    vocabulary = load_vocabulary()
    assert set(vocabulary.groups) == set(GROUPS)
    assert {g for _, groups in vocabulary.mixed for g in groups} <= set(GROUPS)


def test_the_main_groups_are_rich() -> None:
    for group in ("water", "forest", "farm", "city"):
        phrases = load_vocabulary().groups[group]
        assert len({*phrases.sounds, *phrases.moods}) >= MIN_PHRASES, group


def test_captions_are_the_same_for_the_same_seed_and_differ_for_another() -> None:
    vocabulary = load_vocabulary()
    assert write_captions(vocabulary, 3) == write_captions(vocabulary, 3)
    assert write_captions(vocabulary, 3) != write_captions(vocabulary, 4)


def test_captions_are_unique_and_their_weights_sum_to_one_or_none(
    captions: list[tuple[str, tuple[float, ...]]],
) -> None:
    texts = [text for text, _ in captions]
    assert len(set(texts)) == len(texts)
    sums = np.array([sum(weights) for _, weights in captions])
    assert np.all(np.isclose(sums, 1) | (sums == 0))
    assert {len(weights) for _, weights in captions} == {len(COVERS)}


def test_every_cover_has_captions(captions: list[tuple[str, tuple[float, ...]]]) -> None:
    total = np.array([weights for _, weights in captions]).sum(axis=0)
    assert np.all(total > 30)


def test_held_out_wordings_are_no_captions(
    captions: list[tuple[str, tuple[float, ...]]],
) -> None:
    held_out = {t for groups in load_held_out().values() for ts in groups.values() for t in ts}
    assert not held_out & {text for text, _ in captions}


def test_an_unknown_group_is_an_error() -> None:
    with pytest.raises(DataError, match="'ocean'"):
        cover_weights({"ocean": 1.0})


def test_near_texts_are_dropped() -> None:
    texts = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    held_out = np.array([[1.0, 0.0]])
    assert keep_far_from(texts, held_out, 0.8).tolist() == [False, True, False]
    assert keep_far_from(texts, held_out[:0], 0.8).all()


@given(st.sampled_from(sorted(set(GROUPS) - {"water"})), st.floats(0, 1))
def test_weights_are_linear_in_groups(group: str, share: float) -> None:
    weights = np.array(cover_weights({group: share, "water": 1 - share}))
    assert weights.sum() == pytest.approx(1)
    assert np.all(weights >= 0)
