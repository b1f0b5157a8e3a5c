"""What the published audio encoder is trained under: hidden stripes and left-out branches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from s2s_map.config.train_sounds import AudioNoiseConfig
from s2s_map.models.audio.htsat import Htsat
from s2s_map.training.batch_norm import WholeBatchNorm


def prepare_audio(encoder: Htsat, config: AudioNoiseConfig) -> None:
    """Make an audio encoder regularise itself while it is in training mode.

    Stripes (SpecAugment, arXiv 1904.08779) are hidden right after the first batch norm, where 0 is
    the mean; branches (stochastic depth, arXiv 1603.09382) of each block but the last, whose
    attention is not used, are left out per recording, later ones more often. The batch norm takes
    the statistics that `WholeBatchNorm.note` is given.

    Args:
        encoder: Changed in place; its weights and their names stay the same.
        config: How much.
    """

    def stripes(module: nn.Module, _inputs: Any, mel: Tensor) -> Tensor:
        return hide_stripes(mel, config) if module.training else mel

    encoder.bn0 = WholeBatchNorm.of(encoder.bn0)
    encoder.bn0.register_forward_hook(stripes)
    blocks = [block for stage in encoder.layers for block in stage.blocks]  # type: ignore[union-attr]
    for number, block in enumerate(blocks[:-1]):
        rate = config.drop_path * number / max(1, len(blocks) - 1)
        for branch in (block.attn, block.mlp):
            branch.register_forward_hook(_dropper(rate))


def _dropper(rate: float) -> Any:
    def drop(module: nn.Module, _inputs: Any, out: Tensor) -> Tensor:
        return drop_path(out, rate) if module.training and rate else out

    return drop


def drop_path(branch: Tensor, rate: float) -> Tensor:
    """Zero whole rows of a branch (B, ...) at random, and scale the others up to the same mean."""
    kept = torch.rand(len(branch), device=branch.device) >= rate
    shape = (-1,) + (1,) * (branch.ndim - 1)
    return branch * (kept.to(branch.dtype) / (1 - rate)).reshape(shape)


def hide_stripes(mel: Tensor, config: AudioNoiseConfig) -> Tensor:
    """Set stripes of normalised spectrograms (B, bins, frames, 1) to 0, each row its own."""
    hidden = torch.zeros(mel.shape[:3], dtype=torch.bool, device=mel.device)
    for dim, count, width in (
        (2, config.time_stripes, config.time_width),
        (1, config.mel_stripes, config.mel_width),
    ):
        size = mel.shape[dim]
        place = torch.arange(size, device=mel.device)
        for _ in range(count):
            wide = torch.randint(min(width, size - 1) + 1, (len(mel), 1), device=mel.device)
            start = (torch.rand(len(mel), 1, device=mel.device) * (size - wide)).long()
            stripe = (place >= start) & (place < start + wide)
            hidden |= stripe[:, None, :] if dim == 2 else stripe[:, :, None]
    return mel.masked_fill(hidden[..., None], 0)
