"""Random changes of colour and validity, so that one scene's radiometry is not learnt by heart."""

from __future__ import annotations

import torch
from torch import Tensor

from s2s_mini.config import AugmentConfig
from s2s_mini.scenes import Patches

WATER_TINTS = (
    (0.10, 0.36, 0.40),  # clear reservoir
    (0.48, 0.58, 0.48),  # green with algae or silt
    (0.58, 0.58, 0.52),  # grey river
    (0.74, 0.62, 0.44),  # brown river in flood
    (0.05, 0.12, 0.24),  # deep
    (0.06, 0.10, 0.09),  # dark pond
    (0.35, 0.66, 0.60),  # shallow sea
)
"""Colours of water in the demo scene's stretch, red, green, blue in 0..1."""


def augment(patches: Patches, config: AugmentConfig, water: int | None) -> Patches:
    """Change a batch at random, with torch's global generator.

    Args:
        patches: The batch.
        config: How strongly.
        water: Index of water among the covers; None leaves its colour alone.
    """
    pixels = patches.pixels
    if water is not None:
        pixels = _tint_water(pixels, patches.cover[:, water], config.water_tint_rate)
    pixels = _colours(pixels, config)
    pixels, valid = _holes(pixels, patches.valid, config.hole_rate)
    return Patches(pixels, valid, patches.cover * valid, patches.pixel_m)


def _uniform(count: int, low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(count, *shape) * (high - low) + low


def _colours(pixels: Tensor, config: AugmentConfig) -> Tensor:
    n = len(pixels)
    gamma = 1 + _uniform(n, -config.gamma, config.gamma, 1, 1, 1)
    pixels = pixels.clamp(min=1e-4) ** gamma
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    contrast = 1 + _uniform(n, -config.contrast, config.contrast, 1, 1, 1)
    bright = 1 + _uniform(n, -config.brightness, config.brightness, 1, 1, 1)
    channel = 1 + _uniform(n, -config.channel, config.channel, 3, 1, 1)
    pixels = ((pixels - mean) * contrast + mean) * bright * channel
    hazy = (torch.rand(n, 1, 1, 1) < config.haze_rate).float()
    haze = hazy * _uniform(n, 0, config.haze, 1, 1, 1)
    veil = torch.tensor([0.75, 0.8, 0.88])[:, None, None]
    pixels = pixels * (1 - haze) + haze * veil
    noise = _uniform(n, 0, config.noise, 1, 1, 1) * torch.randn_like(pixels)
    return (pixels + noise).clamp(0, 1)


def _tint_water(pixels: Tensor, share: Tensor, rate: float) -> Tensor:
    n = len(pixels)
    chosen = (torch.rand(n, 1, 1, 1) < rate).float()
    tints = torch.tensor(WATER_TINTS)[torch.randint(len(WATER_TINTS), (n,))][:, :, None, None]
    tints = (tints + 0.04 * torch.randn(n, 3, 1, 1)).clamp(0, 1)
    water = share[:, None] * chosen
    local = (pixels * water).sum((2, 3), keepdim=True) / water.sum((2, 3), keepdim=True).clamp(1)
    # Only the mean colour changes: waves, glint and noise stay.
    return (pixels + water * (tints - local)).clamp(0, 1)


def _holes(pixels: Tensor, valid: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    n, _, height, width = pixels.shape
    angle = _uniform(n, 0, 2 * torch.pi, 1, 1)
    offset = _uniform(n, -0.1, 0.5, 1, 1)
    y = torch.linspace(-0.5, 0.5, height)[None, :, None]
    x = torch.linspace(-0.5, 0.5, width)[None, None, :]
    outside = (x * angle.cos() + y * angle.sin() > offset) & (torch.rand(n, 1, 1) < rate)
    valid = valid * (~outside)[:, None]
    weight = (valid > 0.5).float()
    mean = (pixels * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(1)
    return torch.where(weight > 0, pixels, mean), valid
