"""Models on disk: saving, checking, finding and loading them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures_models import TINY, TINY_HTSAT, fill, tiny_card, write_model_folder

from s2s_map.config.model import CodebookConfig
from s2s_map.encoding.query_model import FrozenTextReader
from s2s_map.errors import CheckpointError, ModelError
from s2s_map.models.build import build_model
from s2s_map.models.checkpoints.reading import (
    CARD_FILE,
    WEIGHTS_FILE,
    compare_keys,
    file_sha256,
    kept_sha256,
    load_weights,
    read_card,
    save_model,
)
from s2s_map.models.loaded import LoadedModel, torch_device
from s2s_map.models.metadata import encode_metadata
from s2s_map.models.registry import list_models, load_model, model_card


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def model(shared: Path) -> LoadedModel:
    return load_model(shared)


def test_weights_come_back_as_saved(shared: Path, model: LoadedModel) -> None:
    network = build_model(TINY)
    fill(network)
    for key, value in network.state_dict().items():
        assert torch.equal(value, model.network.state_dict()[key]), key
    assert model.sha256 == file_sha256(shared / WEIGHTS_FILE) == read_card(shared).sha256
    assert sorted(path.name for path in shared.iterdir()) == [CARD_FILE, WEIGHTS_FILE]


def test_half_precision_halves_the_file(tmp_path: Path, shared: Path) -> None:
    network = build_model(TINY)
    fill(network)
    save_model(tmp_path, network, tiny_card(), half=True)
    assert (tmp_path / WEIGHTS_FILE).stat().st_size < 0.6 * (shared / WEIGHTS_FILE).stat().st_size
    weights = load_model(tmp_path).network.state_dict()
    assert weights["fdt.space_dict"].dtype == torch.float32
    torch.testing.assert_close(
        weights["fdt.space_dict"], network.fdt.space_dict.detach(), rtol=1e-3, atol=1e-3
    )


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "tiny")
    data = bytearray((folder / WEIGHTS_FILE).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(data)
    with pytest.raises(CheckpointError, match=r"has SHA-256 [0-9a-f]{64}; expected [0-9a-f]{64} "):
        load_model(folder)
    (folder / WEIGHTS_FILE).write_bytes(b"not safetensors")
    with pytest.raises(CheckpointError, match="expected a safetensors file"):
        load_weights(build_model(TINY), folder / WEIGHTS_FILE, file_sha256(folder / WEIGHTS_FILE))
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(CheckpointError, match="no weights at"):
        load_model(folder)


def test_weights_of_another_network_are_named_in_one_line(shared: Path) -> None:
    other = TINY.model_copy(
        update={"codebook": CodebookConfig(size=32, dim=32), "audio": TINY_HTSAT}
    )
    with pytest.raises(CheckpointError) as caught:
        load_weights(build_model(other), shared / WEIGHTS_FILE, read_card(shared).sha256)
    message = str(caught.value)
    assert "\n" not in message
    assert " missing: audio_encoder.model.audio_enc." in message
    assert " more; " in message
    assert "1 wrong shape: fdt.space_dict (64, 32) instead of (32, 32)" in message
    unexpected = {"extra": torch.zeros(1)}
    assert compare_keys({}, unexpected) == "1 unexpected: extra"
    assert compare_keys(unexpected, unexpected) == ""


def test_cards_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no card\.json in"):
        model_card(tmp_path)
    (tmp_path / CARD_FILE).write_text('{"name": "x"}')
    with pytest.raises(ModelError, match=r"card\.json: title: Field required"):
        model_card(tmp_path)
    (tmp_path / CARD_FILE).write_text("{")
    with pytest.raises(ModelError, match=r"card\.json: the file: Invalid JSON"):
        model_card(tmp_path)


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(ModelError, match=r"unknown model 'sat2sound/bingmap'; did you mean "):
        load_model("sat2sound/bingmap")


def test_every_embedded_model_loads() -> None:
    for card in list_models():
        model = load_model(card.name)
        assert model.name == card.name
        assert model.card == model_card(card.name)
        pixels = torch.zeros(1, 3, model.input_px, model.input_px, dtype=torch.uint8)
        assert model.embed_patches(pixels, 10.0).shape == (1, model.dim)


def test_listing_models_does_not_import_torch() -> None:
    code = (
        "import sys, s2s_map.models.registry as r; r.list_models(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_patches_become_unit_vectors(model: LoadedModel) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, 3, 56, 56), dtype=torch.uint8, generator=generator)
    patch, token = model.embed_patches(pixels, 10.0, "both")
    assert patch.shape == (3, model.dim)
    assert token.shape == (3, model.tokens_per_side**2, model.dim)
    assert patch.dtype == token.dtype == torch.float32
    torch.testing.assert_close(patch.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(token.norm(dim=-1), torch.ones(3, 196))
    torch.testing.assert_close(model.embed_patches(pixels, 10.0), patch)
    torch.testing.assert_close(model.embed_patches(pixels, 10.0, "token"), token)
    alone = model.embed_patches(pixels[1:2], 10.0, metadata=encode_metadata(month=[3]))
    torch.testing.assert_close(alone, patch[1:2], rtol=1e-4, atol=1e-5)


def test_pixels_are_normalised_as_the_config_says(model: LoadedModel) -> None:
    pixels = torch.randint(0, 256, (1, 3, 56, 56), dtype=torch.uint8)
    mean = torch.tensor(model.card.config.pixel_mean).view(3, 1, 1)
    std = torch.tensor(model.card.config.pixel_std).view(3, 1, 1)
    with torch.inference_mode():
        expected = model.network.embed_image((pixels / 255 - mean) / std, torch.tensor([10.0]))
    found = model.embed_patches(pixels, 10.0)
    torch.testing.assert_close(found, expected / expected.norm(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "pixels", [torch.zeros(1, 3, 56, 56), torch.zeros(1, 3, 57, 56, dtype=torch.uint8)]
)
def test_patches_of_another_kind_are_refused(model: LoadedModel, pixels: torch.Tensor) -> None:
    with pytest.raises(ModelError, match=r"expected torch\.uint8 \(B, 3, 56, 56\)"):
        model.embed_patches(pixels, 10.0)


def test_resolution_is_the_patch_over_its_training_pixels(model: LoadedModel) -> None:
    assert model.resolution_for(2560.0) == 10.0


def test_a_text_becomes_a_unit_vector(model: LoadedModel) -> None:
    vector = model.embed_text("rain on a tin roof")
    assert vector.shape == (model.dim,)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)
    np.testing.assert_array_equal(vector, model.embed_text("rain on a tin roof"))
    assert not np.allclose(vector, model.embed_text("a busy street"))


def test_a_text_leaves_the_number_of_threads_as_it_was(model: LoadedModel) -> None:
    before = torch.get_num_threads()
    model.embed_text("rain")
    assert torch.get_num_threads() == before


def test_what_a_model_cannot_do_is_said(model: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be asked with a recording"):
        model.embed_recording(np.ones(100, dtype=np.float32), 32000)
    from s2s_map.config.model import FlanT5Config

    text = FlanT5Config(dim=384, source="nobody/no-such-encoder")
    other = load_model(write_model_folder(tmp_path, TINY.model_copy(update={"text": text})))
    with pytest.raises(ModelError, match=r"reads texts with .*which is not on this machine"):
        other.embed_text("rain")


@pytest.mark.parametrize(
    ("name", "message"),
    [("gpu", "unknown device 'gpu'"), ("cuda:99", "device 'cuda:99' is not there")],
)
def test_devices_that_are_not_there(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        torch_device(name)


def test_the_text_encoders_files_have_a_hash_of_their_own() -> None:
    model = load_model("s2s-mini")
    assert isinstance(model, FrozenTextReader)
    assert len(model.text_sha256) == 64
    assert model.text_sha256 != model.sha256


def test_a_hash_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    first = kept_sha256(file)
    assert first == kept_sha256(file) == file_sha256(file)
    another = tmp_path / "another"
    another.write_bytes(b"two")
    another.replace(file)
    assert kept_sha256(file) == file_sha256(file) != first
