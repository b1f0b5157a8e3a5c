"""Metadata, its encodings and its fusion into image tokens."""

from __future__ import annotations

import math

import pytest
import torch
from fixtures_models import fill
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from s2s_map.config.model import METADATA_ORDER, FusionConfig, MaskedTokens
from s2s_map.errors import ModelError
from s2s_map.models.fusion import MetadataFusion
from s2s_map.models.metadata import Metadata, drop_fields, encode_metadata

DIM, TOKENS = 16, 6


def make_fusion(masked_tokens: MaskedTokens = "zero") -> MetadataFusion:
    config = FusionConfig(
        layers=2, heads=4, ff_dim=32, field_hidden_dim=8, masked_tokens=masked_tokens
    )
    fusion = MetadataFusion(DIM, METADATA_ORDER, config)
    fill(fusion)
    return fusion.eval()


@pytest.fixture
def tokens() -> Tensor:
    return torch.randn(3, TOKENS, DIM, generator=torch.Generator().manual_seed(0))


def rows(metadata: Metadata, part: slice) -> Metadata:
    return Metadata(
        {field: value[part] for field, value in metadata.values.items()},
        {field: value[part] for field, value in metadata.valid.items()},
    )


@pytest.fixture
def metadata() -> Metadata:
    return encode_metadata(
        latitude=[-25.5, 60.0, 0.0],
        longitude=[-54.6, 10.0, 120.0],
        month=[5, None, 12],
        hour=[13, 0, None],
        audio_source=["iNat", "aporee", "yfcc"],
        caption_source=["qwen", "meta", "pengi"],
    )


@pytest.mark.parametrize("masked_tokens", ["zero", "ordinary"])
@pytest.mark.parametrize("grad", [True, False])
def test_an_image_never_depends_on_the_others_of_its_batch(
    masked_tokens: MaskedTokens, grad: bool, tokens: Tensor, metadata: Metadata
) -> None:
    fusion = make_fusion(masked_tokens)
    with torch.set_grad_enabled(grad):
        together = fusion(tokens, metadata)
        alone = [fusion(tokens[i : i + 1], rows(metadata, slice(i, i + 1))) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)


def test_masked_tokens_come_out_as_said(tokens: Tensor, metadata: Metadata) -> None:
    zero, ordinary = (make_fusion(kind)(tokens, metadata) for kind in ("zero", "ordinary"))
    known = make_fusion().known(metadata, 3)
    assert known.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 1], [1, 1, 1, 1, 0]]
    masked = torch.cat([torch.zeros(3, TOKENS, dtype=torch.bool), ~known], dim=1)
    assert not zero[masked].any()
    assert ordinary[masked].any(dim=1).all()
    torch.testing.assert_close(zero[~masked], ordinary[~masked])


def test_a_missing_field_has_no_influence(tokens: Tensor, metadata: Metadata) -> None:
    fusion = make_fusion()
    other = Metadata(dict(metadata.values), dict(metadata.valid))
    other.values["month"] = metadata.values["month"] + torch.tensor([[0.0], [9.0], [0.0]])
    torch.testing.assert_close(fusion(tokens, other), fusion(tokens, metadata))
    assert fusion(tokens).shape == (3, TOKENS + 5, DIM)
    assert not fusion(tokens)[:, TOKENS:].any()


def test_layers_are_those_of_torch(tokens: Tensor, metadata: Metadata) -> None:
    fusion = make_fusion("ordinary")
    layer = nn.TransformerEncoderLayer(DIM, 4, 32, 0.1, "gelu", batch_first=True)
    reference = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    reference.load_state_dict(fusion.transformer_encoder.state_dict())
    known = fusion.known(metadata, 3)
    keys = torch.cat([torch.ones(3, TOKENS, dtype=torch.bool), known], dim=1)
    joined = torch.cat([tokens, fusion.meta_embed(metadata, tokens) * known[:, :, None]], dim=1)
    expected = reference.train(False)(joined, src_key_padding_mask=~keys)
    torch.testing.assert_close(fusion(tokens, metadata), expected)


def test_gradients_flow_into_every_parameter(tokens: Tensor, metadata: Metadata) -> None:
    fusion = make_fusion().train()
    (fusion(tokens, metadata) ** 3).sum().backward()
    for name, parameter in fusion.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_encodings_have_the_published_periods() -> None:
    found = encode_metadata(
        latitude=[90.0, -90.0], longitude=[180.0, -180.0], month=[12, 3], hour=[0, 23]
    ).values
    torch.testing.assert_close(found["latlong"][0], found["latlong"][1], rtol=0, atol=1e-6)
    torch.testing.assert_close(found["latlong"][0], torch.tensor([0.0, -1.0, 0.0, -1.0]))
    torch.testing.assert_close(found["month"], torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    torch.testing.assert_close(found["time"][0], found["time"][1], rtol=0, atol=1e-6)


def test_hours_of_freesound_are_unknown() -> None:
    found = encode_metadata(hour=[4, 4], audio_source=["freesound", "iNat"])
    assert found.mask("time", 2).tolist() == [False, True]
    assert not found.values["time"][0].any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"month": [13]}, "month 13; expected 1 to 12"),
        ({"hour": [24]}, "hour 24; expected 0 to 23"),
        ({"audio_source": ["radio"]}, "audio source 'radio'; expected one of yfcc, iNat"),
    ],
)
def test_wrong_metadata_is_named(fields: dict[str, list[object]], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        encode_metadata(**fields)  # type: ignore[arg-type]


@given(seed=st.integers(0, 10_000), rate=st.floats(0, 1), count=st.integers(1, 12))
def test_dropping_hides_the_stated_share(seed: int, rate: float, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(count, 3, generator=generator) < 0.7
    dropped = drop_fields(mask, rate, generator)
    assert not (dropped & ~mask).any()
    hidden = (~dropped).sum(dim=0)
    least = torch.clamp((~mask).sum(dim=0), min=math.floor(rate * count))
    assert hidden.tolist() == least.tolist()
