"""From a model config to an untrained network."""

from __future__ import annotations

from torch import nn

from s2s_map.config.model import ImageEncoderConfig, ModelConfig, VitConfig
from s2s_map.models.sat2sound import Sat2Sound


def build_image_encoder(config: ImageEncoderConfig) -> nn.Module:
    """Make the image encoder of the given kind, with fresh weights."""
    # Each kind is imported when it is asked for: their dependencies are heavy.
    if isinstance(config, VitConfig):
        from s2s_map.models.vit import VitEncoder

        return VitEncoder(config)
    from s2s_map.models.mini_image import MiniImageEncoder

    return MiniImageEncoder(config)


def build_model(config: ModelConfig) -> Sat2Sound:
    """Make a network of the configured sizes, with fresh weights."""
    return Sat2Sound(config, build_image_encoder(config.image))
