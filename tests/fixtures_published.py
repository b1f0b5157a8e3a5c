"""Published checkpoints and text encoders with formula weights, in the published layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fixtures_models import TINY_HTSAT, fill

from s2s_map.config.model import (
    CodebookConfig,
    FlanT5Config,
    FusionConfig,
    ModelConfig,
    VitConfig,
)

if TYPE_CHECKING:
    from torch import Tensor

SMALL = ModelConfig(
    image=VitConfig(input_px=56, patch_px=4, dim=32, depth=1, heads=2, mlp_dim=64),
    text=FlanT5Config(dim=32),
    audio=TINY_HTSAT,
    embed_dim=32,
    projector_dim=32,
    fusion=FusionConfig(layers=1, heads=2, ff_dim=48, field_hidden_dim=8),
    codebook=CodebookConfig(size=64, dim=32, score_scale=100.0),
)
"""The published parts at a size that fits a unit test."""

SMALL_OPTIONS = {"fc_dim": 32, "codebook_dim": 32, "codebook_size": 64}

EVERY_FIELD = "latlong_month_time_asource_tsource"

SENTENCES = [
    "birds singing in a forest at dawn",
    "waves on a rocky shore and gulls calling",
    "a busy street with cars, horns and people talking",
    "the sound of rain on a tin roof, far thunder, wind in the trees",
]


def options_of(config: ModelConfig, sat_type: str = "sentinel", **more: Any) -> dict[str, Any]:
    """The training options that give a config, among others that say nothing of it."""
    return {
        "fc_dim": config.embed_dim,
        "codebook_dim": config.codebook.dim,
        "codebook_size": config.codebook.size,
        "metadata_type": "_".join(config.metadata) or "none",
        "meta_droprate": 0.5,
        "combined_modality_loss": 1,
        "fdt_weight": 1.0,
        "pseudo_match_alpha": 0.1,
        "sat_type": sat_type,
        "satmae_ckpt_path": "/somewhere/else/pretrain-vit-base-e199.pth",
        "lr": 5e-5,
        "devices": [0, 1],
    } | more


def write_checkpoint(
    path: Path,
    config: ModelConfig,
    options: dict[str, Any],
    known: Mapping[str, Tensor] | None = None,
    **more: Any,
) -> Path:
    """Write a Lightning checkpoint with formula weights; `more` replaces its other parts.

    Values of `known`, another network's that was filled, are taken from there.
    """
    import torch

    from s2s_map.models.build import build_model

    network = build_model(config)
    fill(network, known)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "epoch": 9,
            "global_step": 1000,
            "pytorch-lightning_version": "2.1.0",
            "state_dict": network.state_dict(),
            "loops": {"fit_loop": {"state_dict": {}}},
            "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": "a.ckpt"}},
            "optimizer_states": [{"state": {}, "param_groups": [{"lr": 5e-5, "params": [0]}]}],
            "lr_schedulers": [{"T_0": 5000, "last_epoch": 3}],
            "hparams_name": "kwargs",
            "hyper_parameters": options,
        }
        | more,
        path,
    )
    return path


def write_text_encoder(folder: Path, dim: int) -> Path:
    """Write a small T5 in the layout of google/flan-t5-large: seeded weights, a real tokenizer.

    As there, the weights are those of encoder and decoder.
    """
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers.models.t5.configuration_t5 import T5Config
    from transformers.models.t5.modeling_t5 import T5ForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",  # noqa: S106
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = T5Config(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=dim,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_decoder_layers=1,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    network = T5ForConditionalGeneration(config)
    config.save_pretrained(folder)
    weights = {
        key: value.contiguous().clone()
        for key, value in network.state_dict().items()
        if not key.endswith("embed_tokens.weight")
    }
    save_file(weights, folder / "model.safetensors")
    return folder
