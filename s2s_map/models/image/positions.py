"""Position embedding in metres: the same ground distance looks the same at any resolution."""

from __future__ import annotations

import torch
from torch import Tensor

PERIOD = 10000.0


def ground_positions(resolution_m: Tensor, tokens_per_side: int, dim: int) -> Tensor:
    """Sine and cosine position embedding of a square token grid, scaled by ground resolution.

    As in the published model, a token's coordinate is its index times the resolution, without
    the patch size: sin and cos of the column first, then of the row, a quarter of `dim` each,
    with frequencies 10000^(-4k/dim).

    Args:
        resolution_m: Ground resolution of each image (B,), metres.
        tokens_per_side: Tokens along one side.
        dim: Numbers per token, a multiple of 4.

    Returns:
        Float32 embedding (B, tokens_per_side ** 2, dim), row by row.
    """
    quarter = dim // 4
    device = resolution_m.device
    k = torch.arange(quarter, dtype=torch.float64, device=device)
    omega = (PERIOD ** (-k / quarter)).float()
    index = torch.arange(tokens_per_side, dtype=torch.float32, device=device)
    angle = (index * resolution_m.float()[:, None])[:, :, None] * omega
    wave = torch.cat([angle.sin(), angle.cos()], dim=-1)
    count = resolution_m.shape[0]
    shape = (count, tokens_per_side, tokens_per_side, 2 * quarter)
    column = wave[:, None, :, :].expand(shape)
    row = wave[:, :, None, :].expand(shape)
    return torch.cat([column, row], dim=-1).reshape(count, tokens_per_side**2, 4 * quarter)
