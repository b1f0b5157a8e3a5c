"""ImageNet weights at the start of the embedded model's image encoder."""

from __future__ import annotations

import torch

from s2s_map.config.model import MiniImageConfig
from s2s_map.models.image.mini import MiniImageEncoder
from s2s_mini.stem import load_imagenet_stem


def test_imagenet_weights_load_in_order() -> None:
    import timm

    torch.manual_seed(7)
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    renamed = {f"layer{i}": value for i, value in enumerate(whole.state_dict().values())}
    fresh = MiniImageEncoder(MiniImageConfig(dim=16)).eval()
    load_imagenet_stem(fresh, renamed)
    torch.testing.assert_close(fresh.stem[0].weight, whole.conv_stem.weight)
    torch.testing.assert_close(
        fresh.blocks[2][1].conv_pwl.weight, whole.blocks[2][1].conv_pwl.weight
    )
