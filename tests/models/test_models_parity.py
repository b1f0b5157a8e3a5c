"""The network at its published size, with formula weights, against golden numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import parity_inputs as given
import pytest
import torch
from fixtures_models import fill

from s2s_map.config.model import METADATA_ORDER, FusionConfig, MaskedTokens, ModelConfig
from s2s_map.models.build import build_model
from s2s_map.models.positions import ground_positions
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


def check(name: str, array: torch.Tensor) -> None:
    assert given.difference(name, array) <= given.TOLERANCE, name


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


def test_positions() -> None:
    check("pos_embed", ground_positions(torch.tensor([10.0, 50.0, 0.6, 3.0]), 14, 768))


@pytest.mark.slow
@pytest.mark.parametrize("zoom", [1, 3, 5])
@pytest.mark.parametrize("imagery", ["sentinel", "bingmap"])
def test_satellite_embeddings(
    imagery: str, zoom: int, with_metadata: Sat2Sound, without_metadata: Sat2Sound
) -> None:
    resolution = given.resolution(GSD_M[imagery], (zoom,) * 4)
    tokens = with_metadata.image_tokens(given.images(), resolution)
    plain = without_metadata.embed_tokens(without_metadata.fuse(tokens), level="patch")
    check(f"sat_{imagery}_z{zoom}_nometa", plain)
    fused = with_metadata.fuse(tokens, given.metadata("all"))
    check(f"sat_{imagery}_z{zoom}_meta_all", with_metadata.embed_tokens(fused, level="patch"))


def test_mixed_zooms_in_one_batch(with_metadata: Sat2Sound, without_metadata: Sat2Sound) -> None:
    resolution = given.resolution(10.0, (1, 3, 5, 1))
    plain = without_metadata.embed_image(given.images(), resolution)
    check("sat_sentinel_mixed_z1351_nometa", plain)
    check("batch_sat_nometa", plain)
    fused = with_metadata.embed_image(given.images(), resolution, given.metadata("all"))
    check("batch_sat_meta_all", fused)


def test_tokens(with_metadata: Sat2Sound, sentinel_z3: torch.Tensor) -> None:
    backbone = with_metadata.satmae_backbone.backbone
    raw = backbone(given.images()[:2], given.resolution(10.0, (3, 3)))
    check("tokens_backbone", raw)
    check("tokens_projected", sentinel_z3[:2])
    check("tokens_fused_all", with_metadata.fuse(sentinel_z3, given.metadata("all"))[:2])


@pytest.mark.parametrize(
    ("case", "masked_tokens", "name", "rows"),
    [
        ("missing", "zero", "missing_nograd", slice(2, 4)),
        ("missing", "ordinary", "missing_slow", slice(2, 4)),
        # One image whose mask is not left-aligned made the reference treat the whole batch so.
        ("nonleft", "ordinary", "nonleft_nograd", slice(1, 2)),
        ("nonleft", "ordinary", "nonleft_slow", slice(1, 2)),
    ],
)
def test_missing_metadata(
    case: str,
    masked_tokens: MaskedTokens,
    name: str,
    rows: slice,
    with_metadata: Sat2Sound,
    sentinel_z3: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(with_metadata.sat_encoder.meta_fuser, "masked_tokens", masked_tokens)
    fused = with_metadata.fuse(sentinel_z3, given.metadata(case))
    check(f"tokens_fused_{name}", fused[rows])
    check(f"sat_sentinel_z3_meta_{name}", with_metadata.embed_tokens(fused, level="patch"))


def check_codes(kind: str, weights: torch.Tensor) -> None:
    assert (weights > 0).sum(dim=1).tolist() == given.golden()[f"codes_support_{kind}"].tolist()
    if kind == "text":
        return
    largest = weights.topk(20, dim=1)
    check(f"codes_top20_weight_{kind}", largest.values)
    expected = torch.from_numpy(given.golden()[f"codes_top20_index_{kind}"]).long()
    # Compared by weight: codes of nearly equal weight may swap places.
    check(f"codes_top20_weight_{kind}", weights.gather(1, expected))


def test_codes(with_metadata: Sat2Sound, sentinel_z3: torch.Tensor) -> None:
    fdt = with_metadata.fdt
    fused = with_metadata.fuse(sentinel_z3, given.metadata("all"))
    for kind, tokens in (("nometa", sentinel_z3), ("meta_all", fused)):
        check_codes(kind, fdt.weights(fdt.pooled_scores(fdt.query(tokens, "image"))))
    features, mask = given.texts(12)
    check_codes("text", fdt.weights(fdt.pooled_scores(fdt.query(features, "text"), mask)))


def test_token_attention(with_metadata: Sat2Sound, sentinel_z3: torch.Tensor) -> None:
    fdt = with_metadata.fdt
    codes = torch.from_numpy(given.golden()["att_codes"]).long()
    fused = with_metadata.fuse(sentinel_z3, given.metadata("all"))
    check("att_img_nometa", fdt.attention(fdt.query(sentinel_z3[:1], "image"), codes)[0])
    check("att_img_meta_all", fdt.attention(fdt.query(fused[:1, :196], "image"), codes)[0])
    codes = torch.from_numpy(given.golden()["att_text_codes"]).long()
    features, mask = given.texts(12)
    queries = fdt.query(features[1:2], "text")
    check("att_text_masked", fdt.attention(queries, codes, mask[1:2])[0])
    check("att_text_nomask", fdt.attention(queries, codes)[0])


@pytest.mark.parametrize("pad_to", [12, 40])
def test_text_embeddings(pad_to: int, with_metadata: Sat2Sound) -> None:
    check(f"text_pad{pad_to}", with_metadata.embed_text(*given.texts(pad_to)))


def test_image_caption_embeddings(with_metadata: Sat2Sound) -> None:
    check("batch_fdt_txt_embeds", with_metadata.embed_text(*given.image_captions()))


def test_audio(with_metadata: Sat2Sound) -> None:
    htsat = with_metadata.audio_encoder.model["audio_enc"]
    mels = given.mels()
    check("htsat_image", htsat.image(mels[:2]))
    check("audio_tokens", htsat(mels[:2]))
    check("audio_pooled_unused", htsat.pooled(mels[:2]))
    found = with_metadata.embed_audio(mels)
    check("audio_from_mel", found)
    check("batch_audio_embeds", found)


def test_token_level_is_the_head_on_each_token(
    without_metadata: Sat2Sound, sentinel_z3: torch.Tensor
) -> None:
    """No golden numbers exist for the token level: it must equal the pooled head, one by one."""
    some = sentinel_z3[:1, :5]
    queries = without_metadata.fdt.query(some, "image")
    each = without_metadata.fdt.per_token(queries)[0]
    alone = without_metadata.fdt.pooled(queries[0][:, None])
    torch.testing.assert_close(each, alone, rtol=1e-4, atol=1e-5)
