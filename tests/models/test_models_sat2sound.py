"""The whole network at small size, and its positions in metres."""

from __future__ import annotations

import pytest
import torch
from fixtures_models import TINY, TINY_HTSAT, fill, is_constant
from torch import Tensor

from s2s_map.config.model import (
    METADATA_ORDER,
    CodebookConfig,
    FusionConfig,
    ModelConfig,
)
from s2s_map.errors import ModelError
from s2s_map.models.build import build_model
from s2s_map.models.image.positions import ground_positions
from s2s_map.models.metadata import encode_metadata
from s2s_map.models.protocols import ImageEncoder
from s2s_map.models.sat2sound import LOGIT_SCALES, Sat2Sound, unit

SMALL = TINY.model_copy(
    update={
        "metadata": METADATA_ORDER,
        "audio": TINY_HTSAT,
        "fusion": FusionConfig(layers=1, heads=2, ff_dim=48, field_hidden_dim=8),
        # So large that every code has weight, and any change of a score shows.
        "codebook": CodebookConfig(size=64, dim=32, score_scale=5000.0),
    }
)


def make(config: ModelConfig) -> Sat2Sound:
    network = build_model(config)
    fill(network)
    return network.eval()


@pytest.fixture(scope="module")
def network() -> Sat2Sound:
    return make(SMALL)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(0))


UNUSED = tuple(
    f"audio_encoder.model.audio_enc.{name}"
    for name in (
        "tscam_conv.",
        "head.",
        "layers.1.blocks.1.attn.relative_position_bias_table",
        "layers.1.blocks.1.mlp.",
    )
)
"""In the published checkpoints without influence on any embedding."""

RESOLUTION = torch.tensor([10.0, 30.0])


def test_levels_agree(network: Sat2Sound, images: Tensor) -> None:
    metadata = encode_metadata(latitude=[1.0, 2.0], longitude=[3.0, 4.0], month=[5, None])
    with torch.inference_mode():
        patch, token = network.embed_image(images, RESOLUTION, metadata, level="both")
        assert patch.shape == (2, 32)
        assert token.shape == (2, 14 * 14, 32)
        alone = network.embed_image(images, RESOLUTION, metadata)
        torch.testing.assert_close(patch, alone)
        alone = network.embed_image(images, RESOLUTION, metadata, level="token")
        torch.testing.assert_close(token, alone)


def test_metadata_tokens_are_pooled_too(network: Sat2Sound, images: Tensor) -> None:
    with torch.inference_mode():
        known = encode_metadata(latitude=[1.0, 2.0], longitude=[3.0, 4.0])
        fused = network.fuse(network.image_tokens(images, RESOLUTION), known)
        assert fused.shape == (2, 14 * 14 + 5, 32)
        whole = network.embed_tokens(fused, level="patch")
        assert not torch.allclose(whole, network.embed_tokens(fused[:, :196], level="patch"))


def test_resolution_counts_for_each_image_by_itself(network: Sat2Sound, images: Tensor) -> None:
    with torch.inference_mode():
        same = images[:1].expand(2, -1, -1, -1)
        both = network.embed_image(same, RESOLUTION)
        assert not torch.allclose(both[0], both[1])
        torch.testing.assert_close(both[1:], network.embed_image(images[:1], RESOLUTION[1:]))


def test_every_modality_ends_in_the_same_space(network: Sat2Sound) -> None:
    with torch.inference_mode():
        text = network.embed_text(torch.randn(1, 5, 384))
        audio = network.embed_audio_tokens(torch.randn(1, 32, 24))
    assert text.shape == audio.shape == (1, 32)
    torch.testing.assert_close(unit(text).norm(dim=1), torch.ones(1))
    assert not unit(torch.zeros(1, 4)).any()


def test_a_model_without_audio_tokens_says_so() -> None:
    with pytest.raises(ModelError, match=r"'none' got audio tokens; expected .*'htsat'"):
        make(TINY).embed_audio_tokens(torch.zeros(1, 2, 3))


def test_gradients_reach_every_part(images: Tensor) -> None:
    network = make(SMALL).train()
    metadata = encode_metadata(
        latitude=[1.0, 2.0],
        longitude=[3.0, 4.0],
        month=[5, 6],
        hour=[7, 8],
        audio_source=["yfcc", "iNat"],
        caption_source=["meta", "qwen"],
    )
    loss = network.embed_image(images, RESOLUTION, metadata).square().sum()
    loss = loss + network.embed_text(torch.randn(1, 5, 384)).square().sum()
    loss = loss + network.embed_audio(torch.randn(2, 1, 126, 8)).square().sum()
    loss.backward()
    without = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None
        and not name.startswith("logit_scale")
        and not is_constant(name)
        and not name.startswith(UNUSED)
    ]
    assert without == []
    assert all(hasattr(network, f"logit_scale_{name}") for name in LOGIT_SCALES)


def test_encoders_follow_their_protocol(network: Sat2Sound) -> None:
    assert isinstance(network.satmae_backbone.backbone, ImageEncoder)


def test_positions_run_by_column_then_row() -> None:
    found = ground_positions(torch.tensor([2.0]), 3, 8)[0].reshape(3, 3, 8)
    assert found.dtype == torch.float32
    angle = torch.tensor(2.0) * torch.tensor([1.0, 0.01])
    torch.testing.assert_close(found[0, 1, :2], angle.sin())
    torch.testing.assert_close(found[0, 1, 2:4], angle.cos())
    torch.testing.assert_close(found[2, 0, 4:6], (2 * angle).sin())
    torch.testing.assert_close(found[2, 1, 4:], found[2, 2, 4:])
    torch.testing.assert_close(found[1, 2, :4], found[0, 2, :4])


def test_the_same_ground_distance_has_the_same_position() -> None:
    fine, coarse = ground_positions(torch.tensor([10.0, 20.0]), 5, 8).reshape(2, 5, 5, 8)
    torch.testing.assert_close(fine[2, 4], coarse[1, 2])
