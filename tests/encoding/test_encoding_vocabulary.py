from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures_encoding import DIM, HashModel

from s2s_map.encoding.vocabulary import encode_vocabulary, load_vocabulary
from s2s_map.errors import ModelError


def test_the_text_vocabulary_is_broad_and_without_doubles() -> None:
    stated = load_vocabulary("text")

    assert 90 <= len(stated.names) <= 130
    assert len(set(stated.names)) == len(stated.names)
    assert not any(name.startswith("#") for name in stated.names)
    assert len(stated.sha256) == 64


def test_the_audio_vocabulary_has_every_event_alone_and_knows_no_others() -> None:
    stated = load_vocabulary("audio")
    events = HashModel().audio_encoder.events

    assert set(events) <= set(stated.names)
    assert {event for mix in stated.mixes for event in mix} == set(events)
    assert len(set(stated.names)) == len(stated.names)
    for mix in stated.mixes:
        assert sum(mix.values()) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["text", "audio"])
def test_vectors_are_of_unit_length_and_cached(kind: str, tmp_path: Path) -> None:
    model = HashModel()
    first = encode_vocabulary(model, kind, tmp_path)  # type: ignore[arg-type]
    count = len(model.texts)
    second = encode_vocabulary(model, kind, tmp_path)  # type: ignore[arg-type]

    assert first.vectors.shape == (len(first.names), DIM)
    np.testing.assert_allclose(np.linalg.norm(first.vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert len(model.texts) == count
    assert first.sha256 == load_vocabulary(first.kind).sha256


def test_a_mix_of_the_vocabulary_is_that_of_the_encoder() -> None:
    model = HashModel()
    vocabulary = encode_vocabulary(model, "audio")

    row = vocabulary.vectors[vocabulary.names.index("Bird + Wind")]

    np.testing.assert_allclose(row, model.audio_encoder.mix({"Bird": 1, "Wind": 1}), atol=1e-6)


def test_a_model_without_events_has_no_audio_vocabulary() -> None:
    model = HashModel()
    model.audio_encoder = None  # type: ignore[assignment]

    with pytest.raises(ModelError, match="without sound events"):
        encode_vocabulary(model, "audio")
