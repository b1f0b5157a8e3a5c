"""The image encoder of the embedded model: a short convolutional stem and local statistics."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2s_map.config.model import MiniImageConfig

STEM_NAME = "tf_efficientnet_lite0"
STEM_BLOCKS = 3
STEM_CHANNELS = 40
STEM_STRIDE = 8
REFERENCE_M = 20.0
"""Ground resolutions are given to the network as the logarithm of their ratio to this."""


class MiniImageEncoder(nn.Module):
    """Tokens of stride 8 from the start of EfficientNet-Lite0 beside colour and texture statistics.

    A token sees the features of its own place, the mean and deviation of each colour in its own
    square, in 3 x 3 and in 5 x 5 tokens, the strength of edges, and the ground resolution. Nothing
    tells it where in the patch it lies: what a place sounds like does not depend on that.

    Args:
        config: Sizes; `input_px` must be 8 times `tokens_per_side`.
    """

    def __init__(self, config: MiniImageConfig) -> None:
        super().__init__()
        import timm

        self.dim = config.dim
        self.tokens_per_side = config.tokens_per_side
        self.input_px = config.input_px
        whole: Any = timm.create_model(STEM_NAME, pretrained=False)
        self.stem = nn.Sequential(whole.conv_stem, whole.bn1)
        self.blocks = nn.Sequential(*whole.blocks[:STEM_BLOCKS])
        statistics = 3 * 2 * len(STATISTIC_WINDOWS) + 2
        self.norm = nn.BatchNorm2d(STEM_CHANNELS + statistics)
        self.local = nn.Conv2d(STEM_CHANNELS + statistics + 2, config.dim, 1)
        self.context = nn.Conv2d(
            config.dim, config.dim, 3, padding=1, padding_mode="replicate", groups=config.dim
        )
        self.out = nn.Conv2d(config.dim, config.dim, 1)

    def forward(self, pixels: Tensor, resolution_m: Tensor) -> Tensor:
        """Encode images.

        Args:
            pixels: Normalised images (B, 3, input_px, input_px).
            resolution_m: Metres per input pixel (B,).

        Returns:
            Tokens (B, tokens_per_side ** 2, dim), row by row.
        """
        return self.mix(self.features(pixels), resolution_m)

    def features(self, pixels: Tensor) -> Tensor:
        """Stem features and local statistics of normalised images, (B, c, side, side)."""
        fast = pixels.contiguous(memory_format=torch.channels_last)
        return torch.cat([self.blocks(self.stem(fast)), local_statistics(pixels)], dim=1)

    def mix(self, features: Tensor, resolution_m: Tensor) -> Tensor:
        """Tokens (B, tokens_per_side ** 2, dim) from what `features` gives."""
        features = self.norm(features)
        scale = torch.log(resolution_m.to(features) / REFERENCE_M)[:, None, None, None]
        scale = scale.expand(-1, 1, *features.shape[2:])
        hidden = F.gelu(self.local(torch.cat([features, scale, scale * scale], dim=1)))
        hidden = hidden + F.gelu(self.context(hidden))
        tokens: Tensor = self.out(hidden).flatten(2).transpose(1, 2)
        return tokens


STATISTIC_WINDOWS = (1, 3, 5)


def local_statistics(pixels: Tensor) -> Tensor:
    """Colour and texture of each token's surroundings.

    Args:
        pixels: Images (B, 3, H, W), sides a multiple of 8.

    Returns:
        (B, 20, H / 8, W / 8): for windows of 1, 3 and 5 tokens the mean and the deviation of each
        colour; then the mean strength of horizontal and of vertical edges.
    """
    mean = F.avg_pool2d(pixels, STEM_STRIDE)
    square = F.avg_pool2d(pixels * pixels, STEM_STRIDE)
    layers = []
    for window in STATISTIC_WINDOWS:
        wide_mean, wide_square = _widen(mean, window), _widen(square, window)
        layers += [wide_mean, (wide_square - wide_mean * wide_mean).clamp(min=1e-6).sqrt()]
    grey = pixels.mean(dim=1, keepdim=True)
    for axis in (2, 3):
        step = torch.diff(grey, dim=axis).abs()
        pad = (0, 1, 0, 0) if axis == 3 else (0, 0, 0, 1)
        layers.append(F.avg_pool2d(F.pad(step, pad, mode="replicate"), STEM_STRIDE))
    return torch.cat(layers, dim=1)


def _widen(field: Tensor, window: int) -> Tensor:
    if window == 1:
        return field
    return F.avg_pool2d(field, window, stride=1, padding=window // 2, count_include_pad=False)
