"""From a model config to an untrained network."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from s2s_map.config.model import ImageEncoderConfig, ModelConfig
from s2s_map.errors import CheckpointError, PluginError
from s2s_map.models.sat2sound import Sat2Sound
from s2s_map.plugins.kinds import IMAGE_ENCODERS


def build_image_encoder(config: ImageEncoderConfig) -> nn.Module:
    """Make the image encoder of the given kind, with fresh weights."""
    encoder = IMAGE_ENCODERS.get(config.kind).build(config)
    if not isinstance(encoder, nn.Module):
        raise PluginError(
            f"kind: {config.kind} builds a {type(encoder).__name__}",
            expected="a torch.nn.Module",
            remedy="see docs/adding.md",
        )
    return encoder


def build_model(config: ModelConfig) -> Sat2Sound:
    """Make a network of the configured sizes, with fresh weights."""
    return Sat2Sound(config, build_image_encoder(config.image))


def check_size(config: ModelConfig, weights: Path) -> None:
    """Check that a network of the configured sizes fits its file of weights, without memory for it.

    Raises:
        CheckpointError: For sizes that need more numbers than the file has bytes.
    """
    with torch.device("meta"):
        needed = sum(part.numel() for part in build_model(config).state_dict().values())
    there = weights.stat().st_size if weights.is_file() else needed
    if needed > there:
        raise CheckpointError(
            f"the card beside {weights} describes a network of {needed:,} numbers, and the file "
            f"has {there:,} bytes",
            remedy="use weights and card of the same model",
        )
