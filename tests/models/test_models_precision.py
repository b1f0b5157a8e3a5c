"""bfloat16 where it is fast, float32 where it matters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fixtures_models import TINY, fill, write_model_folder
from torch import Tensor, nn

from s2s_map.config.model import METADATA_ORDER, FusionConfig, MiniImageConfig, ModelConfig
from s2s_map.models.build import build_model
from s2s_map.models.metadata import encode_metadata
from s2s_map.models.precision import choose_precision, fast_bf16
from s2s_map.models.registry import load_model
from s2s_map.models.sat2sound import Sat2Sound

SMALL = TINY.model_copy(
    update={
        "metadata": METADATA_ORDER,
        "fusion": FusionConfig(layers=1, heads=2, ff_dim=48, field_hidden_dim=8),
    }
)


def make(config: ModelConfig = SMALL) -> Sat2Sound:
    network = build_model(config)
    fill(network)
    return network.eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(3, 3, 56, 56, generator=torch.Generator().manual_seed(0))


def test_only_matrix_products_of_the_satellite_branch_are_halved() -> None:
    network = make().halve()
    half = {name for name, p in network.named_parameters() if p.dtype == torch.bfloat16}
    assert {name.rsplit(".", 1)[-1] for name in half} <= {
        "weight",
        "bias",
        "in_proj_weight",
        "in_proj_bias",
    }
    norms = {
        f"{name}.weight" for name, part in network.named_modules() if isinstance(part, nn.LayerNorm)
    }
    assert norms
    assert not norms & half
    assert not any(name.startswith(("fdt.txt_query_model", "fdt.space_dict")) for name in half)
    matrices = {
        name
        for name, p in network.named_parameters()
        if p.dim() > 1 and "meta_embed" not in name and not name.startswith("fdt.txt")
    }
    assert matrices - half == {"fdt.space_dict"}


@pytest.mark.parametrize("fields", [(), METADATA_ORDER])
def test_embeddings_stay_where_they_were(fields: tuple[str, ...], images: Tensor) -> None:
    config = SMALL.model_copy(update={"metadata": fields})
    metadata = encode_metadata(month=[5, None, 7], hour=[1, 2, None]) if fields else None
    resolution = torch.tensor([10.0, 30.0, 0.6])
    with torch.inference_mode():
        patch, token = make(config).embed_image(images, resolution, metadata, level="both")
        half = make(config).halve()
        patch_half, token_half = half.embed_image(images, resolution, metadata, level="both")
        alone = half.embed_image(images, resolution, metadata, level="token")
    assert patch_half.dtype == token_half.dtype == torch.float32
    assert torch.cosine_similarity(patch, patch_half).min() > 0.999
    # So small a network amplifies a rounding here and there.
    assert torch.cosine_similarity(token, token_half, dim=-1).mean() > 0.999
    torch.testing.assert_close(alone, token_half)
    assert not torch.equal(patch, patch_half)


def test_texts_are_embedded_in_float32_all_the_same() -> None:
    features = torch.randn(1, 5, 384, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(make().embed_text(features), make().halve().embed_text(features))


def test_what_is_asked_for_is_taken() -> None:
    mini = TINY.model_copy(update={"image": MiniImageConfig()})
    assert choose_precision("fp32", TINY, "cpu") == "fp32"
    assert choose_precision("bf16", mini, "cpu") == "bf16"
    assert choose_precision("auto", TINY, "cpu") == ("bf16" if fast_bf16("cpu") else "fp32")
    assert choose_precision("auto", mini, "cpu") == "fp32"
    assert not fast_bf16("meta")


def test_a_model_is_loaded_in_the_precision_asked_for(tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "tiny", SMALL)
    pixels = torch.randint(0, 256, (2, 3, 56, 56), dtype=torch.uint8)
    plain, half = load_model(folder), load_model(folder, precision="bf16")
    assert (plain.precision, half.precision) == ("fp32", "bf16")
    exact, near = (model.embed_patches(pixels, 10.0) for model in (plain, half))
    assert not torch.equal(exact, near)
    assert torch.cosine_similarity(exact, near).min() > 0.999
