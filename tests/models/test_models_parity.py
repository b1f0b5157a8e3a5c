"""The network at its published size: its keys, bf16 against golden numbers, its token level.

That float32 equals every golden array is tested by test_models_published.py.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator

import parity_inputs as given
import pytest
import torch
from fixtures_models import fill

from s2s_map.config.model import METADATA_ORDER, FusionConfig, MaskedTokens, ModelConfig
from s2s_map.models.build import build_model
from s2s_map.models.metadata import Metadata
from s2s_map.models.sat2sound import Sat2Sound

GSD_M = {"sentinel": 10.0, "bingmap": 0.6}
FIELDS = {"nometa": (), "withmeta": METADATA_ORDER, "SoundingEarth": METADATA_ORDER[1:]}

pytestmark = pytest.mark.parity


def build(fields: tuple[str, ...], masked_tokens: MaskedTokens = "zero") -> Sat2Sound:
    network = build_model(
        ModelConfig(metadata=fields, fusion=FusionConfig(masked_tokens=masked_tokens))
    )
    fill(network)
    return network.eval()


@pytest.fixture(scope="module")
def with_metadata() -> Sat2Sound:
    return build(METADATA_ORDER)


@pytest.fixture(scope="module")
def without_metadata(with_metadata: Sat2Sound) -> Sat2Sound:
    # The formula gives equal keys equal values, so all modules but the fusion are shared.
    with torch.device("meta"):
        network = build_model(ModelConfig())
    network.satmae_backbone = with_metadata.satmae_backbone
    network.fdt = with_metadata.fdt
    return network.eval()


@pytest.fixture(autouse=True)
def no_gradient() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def sentinel_z3(with_metadata: Sat2Sound) -> torch.Tensor:
    with torch.inference_mode():
        return with_metadata.image_tokens(given.images(), given.resolution(10.0, (3,) * 4))


@pytest.mark.parametrize(
    ("kind", "count"), [("nometa", 381), ("withmeta", 431), ("SoundingEarth", 430)]
)
def test_state_dict_has_the_published_keys(kind: str, count: int) -> None:
    with torch.device("meta"):
        network = build_model(ModelConfig(metadata=FIELDS[kind]))
    file = "state_dict_nometa.json" if kind == "nometa" else "state_dict_withmeta.json"
    table = json.loads((given.DATA / file).read_text())
    published = {
        key: (tuple(value["shape"]), value["dtype"])
        for key, value in table.items()
        if kind != "SoundingEarth" or ".audio_source_fc." not in key
    }
    assert len(published) == count
    found = {
        key: (tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for key, value in network.state_dict().items()
    }
    assert found == published


@pytest.fixture(scope="module")
def halved(with_metadata: Sat2Sound) -> Sat2Sound:
    return copy.deepcopy(with_metadata).halve()


@pytest.mark.parametrize(
    ("imagery", "zoom"),
    [
        ("bingmap", 3),
        *(
            pytest.param(imagery, zoom, marks=pytest.mark.slow)
            for imagery, zoom in itertools.product(GSD_M, (1, 3, 5))
            if (imagery, zoom) != ("bingmap", 3)
        ),
    ],
)
def test_bf16_keeps_the_embeddings(imagery: str, zoom: int, halved: Sat2Sound) -> None:
    tokens = halved.image_tokens(given.images(), given.resolution(GSD_M[imagery], (zoom,) * 4))
    fused = halved.fuse(tokens, given.metadata("all"))
    for name, some in (("meta_all", fused), ("nometa", tokens)):
        expected = torch.from_numpy(given.golden()[f"sat_{imagery}_z{zoom}_{name}"])
        cosine = torch.cosine_similarity(halved.embed_tokens(some, level="patch"), expected)
        # Measured: 0.99953 at worst.
        assert cosine.min() >= 0.999, name


@pytest.mark.slow  # the model at its full size, as below
@pytest.mark.parametrize("masked_tokens", ["zero", "ordinary"])
def test_bf16_keeps_the_embeddings_where_metadata_is_missing(
    masked_tokens: MaskedTokens, halved: Sat2Sound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halved.sat_encoder.meta_fuser, "masked_tokens", masked_tokens)
    tokens = halved.image_tokens(given.images(), given.resolution(10.0, (3,) * 4))
    found = halved.embed_tokens(halved.fuse(tokens, given.metadata("missing")), level="patch")
    name = "nograd" if masked_tokens == "zero" else "slow"
    expected = torch.from_numpy(given.golden()[f"sat_sentinel_z3_meta_missing_{name}"])
    assert torch.cosine_similarity(found, expected).min() >= 0.999


@pytest.mark.slow  # three passes of it
def test_bf16_keeps_each_token(
    with_metadata: Sat2Sound, halved: Sat2Sound, sentinel_z3: torch.Tensor
) -> None:
    exact = with_metadata.fuse(sentinel_z3[:1], first(given.metadata("all")))
    tokens = halved.image_tokens(given.images()[:1], given.resolution(10.0, (3,)))
    fused = halved.fuse(tokens, first(given.metadata("all")))
    expected = with_metadata.embed_tokens(exact, level="token")
    found = halved.embed_tokens(fused, level="token")
    assert torch.cosine_similarity(found, expected, dim=2).min() >= 0.999


def first(metadata: Metadata) -> Metadata:
    return Metadata(
        {field: value[:1] for field, value in metadata.values.items()},
        {field: value[:1] for field, value in metadata.valid.items()},
    )


def test_token_level_is_the_head_on_each_token(
    without_metadata: Sat2Sound, sentinel_z3: torch.Tensor
) -> None:
    """No golden numbers exist for the token level: it must equal the pooled head, one by one."""
    some = sentinel_z3[:1, :5]
    queries = without_metadata.fdt.query(some, "image")
    each = without_metadata.fdt.per_token(queries)[0]
    alone = without_metadata.fdt.pooled(queries[0][:, None])
    torch.testing.assert_close(each, alone, rtol=1e-4, atol=1e-5)
