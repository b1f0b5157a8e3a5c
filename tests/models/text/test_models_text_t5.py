"""The published text encoder, with a small T5 of the same class and a tokenizer of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from fixtures_published import SENTENCES, write_text_encoder
from safetensors.torch import load_file, save_file

from s2s_map.config.model import FlanT5Config
from s2s_map.errors import CheckpointError, ModelError, QueryError
from s2s_map.models.text.t5 import SHARED, FlanT5TextEncoder

CONFIG = FlanT5Config(dim=32, max_tokens=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_encoder(tmp_path_factory.mktemp("t5"), 32)


@pytest.fixture(scope="module")
def encoder(folder: Path) -> FlanT5TextEncoder:
    return FlanT5TextEncoder.load(CONFIG, folder)


def test_features_are_those_of_transformers(folder: Path, encoder: FlanT5TextEncoder) -> None:
    from tokenizers import Tokenizer
    from transformers.models.t5.modeling_t5 import T5EncoderModel

    network = T5EncoderModel.from_pretrained(folder, local_files_only=True).eval()
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(SENTENCES[0]).ids
    with torch.inference_mode():
        expected = network(input_ids=torch.tensor([ids])).last_hidden_state
    found = encoder.tokens(SENTENCES[0])
    assert found.shape == (1, len(ids), 32)
    torch.testing.assert_close(found, expected)


def test_padding_would_not_change_a_text(folder: Path, encoder: FlanT5TextEncoder) -> None:
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(SENTENCES[1]).ids
    rows, mask = torch.tensor([ids + [0] * 5]), torch.tensor([[1] * len(ids) + [0] * 5])
    with torch.inference_mode():
        padded = encoder._network(input_ids=rows, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(encoder.tokens(SENTENCES[1]), padded[:, : len(ids)])


def test_texts_that_cannot_be_asked(encoder: FlanT5TextEncoder) -> None:
    with pytest.raises(QueryError, match="an empty text"):
        encoder.tokens("  ")
    with pytest.raises(QueryError, match=r"a text of \d\d+ tokens; expected at most 40; shorten"):
        encoder.tokens(" ".join(SENTENCES))


def test_weights_that_do_not_fit_are_named(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.final_layer_norm.weight"]
    weights[SHARED] = weights[SHARED][:-1].clone()
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        FlanT5TextEncoder.load(CONFIG, tmp_path)
    assert "1 missing: encoder.final_layer_norm.weight" in str(caught.value)
    assert "1 wrong shape: shared.weight" in str(caught.value)
    (tmp_path / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(CheckpointError, match="expected a safetensors file"):
        FlanT5TextEncoder.load(CONFIG, tmp_path)


def test_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected a t5 with 64"):
        FlanT5TextEncoder.load(FlanT5Config(dim=64), folder)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"eos_token_id": 7}))
    with pytest.raises(ModelError, match="does not end a text with token 7"):
        FlanT5TextEncoder.load(CONFIG, tmp_path)
