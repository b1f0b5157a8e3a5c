"""Models with formula weights: the same numbers on every machine, no training, no download.

The formula is that of the parity kit (tests/data/parity/README.md): the key of a parameter
decides its values.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.model import (
    METADATA_ORDER,
    CodebookConfig,
    FusionConfig,
    HtsatConfig,
    MiniLMConfig,
    ModelCard,
    ModelConfig,
    NoAudioConfig,
    SoftmaxCard,
    TrainingCard,
    VitConfig,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

QUERY_GAIN = 30.0

TINY = ModelConfig(
    image=VitConfig(input_px=56, patch_px=4, dim=32, depth=1, heads=2, mlp_dim=64),
    text=MiniLMConfig(),
    audio=NoAudioConfig(),
    embed_dim=32,
    projector_dim=32,
    codebook=CodebookConfig(size=64, dim=32, score_scale=100.0),
)
"""14 x 14 tokens out of 56 px; 32 numbers per embedding; well over 1,000 patches a second."""

TINY_META = TINY.model_copy(
    update={
        "metadata": METADATA_ORDER,
        "fusion": FusionConfig(layers=1, heads=2, ff_dim=32, field_hidden_dim=8),
        "codebook": CodebookConfig(size=64, dim=32, score_scale=20.0),
    }
)
"""The same with all five metadata fields."""

TINY_HTSAT = HtsatConfig(
    dim=24,
    depths=(2, 2),
    heads=(2, 4),
    window_tokens=8,
    image_px=32,
    patch_px=2,
    classes=3,
    rate=4000,
    window_s=1.0,
    fft_size=64,
    hop=32,
    mel_bins=8,
    mel_range_hz=(50.0, 1800.0),
)
"""Every part of the published audio encoder: shifted windows, merging, four pieces of time."""


def formula_weight(key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Values of a floating-point parameter, from its key alone."""
    random = np.random.RandomState(zlib.crc32(key.encode("utf-8")))
    n = random.standard_normal(math.prod(shape)).reshape(shape)
    if key.startswith("logit_scale"):
        values = math.log(1 / 0.07) + 0.2 * n
    elif key.endswith("running_mean"):
        values = -20.0 + 5.0 * n
    elif key.endswith("running_var"):
        values = 400.0 * (1.0 + 0.1 * np.abs(n))
    elif key.endswith("relative_position_bias_table"):
        values = 0.5 * n
    elif key.endswith(("space_dict", "source_embed.weight")):
        values = n
    elif len(shape) == 1:
        values = 1.0 + 0.1 * n if key.endswith(".weight") else 0.05 * n
    else:
        gain = QUERY_GAIN if key.endswith("q_map.4.weight") else 1.0
        values = n / math.sqrt(math.prod(shape[1:])) * gain
    return np.asarray(values, dtype=np.float32)


def is_constant(key: str) -> bool:
    """Whether an entry of a state dict follows from the architecture instead of training."""
    return key.endswith(".attn_mask") or ".audio_feats_extractor." in key


def fill(network: nn.Module, known: Mapping[str, Tensor] | None = None) -> None:
    """Give a network the formula's weights, in place; its constants stay as built.

    Those of `known`, by key and shape, are not drawn again.
    """
    import torch

    filled: dict[str, Tensor] = {}
    for key, value in network.state_dict().items():
        before = None if known is None else known.get(key)
        if before is not None and before.shape == value.shape and before.dtype == value.dtype:
            filled[key] = before
        elif value.is_floating_point() and not is_constant(key):
            values = formula_weight(key, tuple(value.shape))
            filled[key] = torch.from_numpy(values.reshape(tuple(value.shape))).to(value.dtype)
        else:
            filled[key] = value
    network.load_state_dict(filled)


def tiny_card(name: str = "tiny", config: ModelConfig = TINY) -> ModelCard:
    """A card for a model with formula weights."""
    return ModelCard(
        name=name,
        title="Formula weights, untrained: for tests",
        config=config,
        licence="CC0-1.0",
        attribution="none",
        gsd_m=(0.1, 1000.0),
        softmax=SoftmaxCard(temperature=0.07, source="the published model's starting value"),
        training=TrainingCard(summary="Not trained: weights from a formula."),
        limits=("Its maps mean nothing.",),
    )


def write_model_folder(folder: Path, config: ModelConfig = TINY, name: str = "tiny") -> Path:
    """Write a model folder (card.json and model.safetensors) that `load_model` accepts."""
    from s2s_map.models.build import build_model
    from s2s_map.models.checkpoints.reading import save_model

    network = build_model(config)
    fill(network)
    save_model(folder, network, tiny_card(name, config))
    return folder
