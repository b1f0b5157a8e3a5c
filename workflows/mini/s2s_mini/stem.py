"""The start of the embedded model's image encoder from ImageNet weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from s2s_map.models.image.mini import STEM_BLOCKS, STEM_NAME, MiniImageEncoder


def load_imagenet_stem(encoder: MiniImageEncoder, weights: dict[str, Tensor]) -> None:
    """Start the stem from ImageNet weights of EfficientNet-Lite0.

    Args:
        encoder: Takes the weights in place.
        weights: A state dict of the whole network whose entries are in the order of timm's
            `tf_efficientnet_lite0`, whatever their names.
    """
    import timm

    whole: Any = timm.create_model(STEM_NAME, pretrained=False)
    names = list(whole.state_dict())
    whole.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    encoder.stem[0].load_state_dict(whole.conv_stem.state_dict())
    encoder.stem[1].load_state_dict(whole.bn1.state_dict())
    encoder.blocks.load_state_dict(nn.Sequential(*whole.blocks[:STEM_BLOCKS]).state_dict())
