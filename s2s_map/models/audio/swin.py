"""Transformer blocks over square windows of a token grid, as in Swin and the published HTSAT."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2s_map.models.image.vit import Mlp

MLP_RATIO = 4
OTHER_REGION = -100.0
"""Added to the attention between tokens that are neighbours only because the grid was rolled."""


class SwinBlock(nn.Module):
    """Pre-norm block whose attention stays within windows, shifted or not.

    Args:
        dim: Numbers per token.
        grid: Tokens along one side of the grid.
        heads: Attention heads.
        window: Tokens along one side of a window.
        shift: How many tokens the windows are shifted by; 0: none.
    """

    attn_mask: Tensor | None

    def __init__(self, dim: int, grid: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.grid, self.window, self.shift = grid, window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, MLP_RATIO * dim)
        self.register_buffer("attn_mask", region_mask(grid, window, shift) if shift else None)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, grid ** 2, dim), row by row, to the same shape."""
        batch, count, dim = tokens.shape
        image = self.norm1(tokens).reshape(batch, self.grid, self.grid, dim)
        if self.shift:
            image = image.roll((-self.shift, -self.shift), dims=(1, 2))
        side = self.grid // self.window
        windows = image.reshape(batch, side, self.window, side, self.window, dim)
        windows = windows.transpose(2, 3).reshape(batch, side**2, self.window**2, dim)
        mixed = self.attn(windows, self.attn_mask)
        mixed = mixed.reshape(batch, side, side, self.window, self.window, dim).transpose(2, 3)
        image = mixed.reshape(batch, self.grid, self.grid, dim)
        if self.shift:
            image = image.roll((self.shift, self.shift), dims=(1, 2))
        tokens = tokens + image.reshape(batch, count, dim)
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out

    def values_only(self, tokens: Tensor) -> Tensor:
        """What Sat2Sound takes from the last block instead: each token's own value, unmixed.

        y = x + proj(V(LN1(x))), then y + LN2(y): neither attention nor MLP.

        Args:
            tokens: (B, T, dim).

        Returns:
            The same shape.
        """
        out = tokens + self.attn.values(self.norm1(tokens))
        normed: Tensor = self.norm2(out)
        return out + normed


class WindowAttention(nn.Module):
    """Self-attention within windows, with a learned bias for each offset between two tokens."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        offsets = (2 * window - 1) ** 2
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets, heads))
        self.register_buffer("relative_position_index", offset_index(window))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Mix tokens within windows.

        Args:
            windows: (B, windows, T, dim).
            mask: Added to the scores, (windows, T, T).

        Returns:
            The same shape as `windows`.
        """
        batch, number, count, dim = windows.shape
        qkv = self.qkv(windows).reshape(batch * number, count, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(batch, 1, 1, 1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(windows.shape))
        return out

    def values(self, tokens: Tensor) -> Tensor:
        """The projected value of each token (..., dim), unmixed."""
        dim = tokens.shape[-1]
        value = F.linear(tokens, self.qkv.weight[2 * dim :], self.qkv.bias[2 * dim :])
        out: Tensor = self.proj(value)
        return out


class PatchMerging(nn.Module):
    """Halves a token grid: four neighbours become one token, twice as wide."""

    def __init__(self, dim: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, grid ** 2, dim) to (B, (grid / 2) ** 2, 2 dim)."""
        batch, _, dim = tokens.shape
        half = self.grid // 2
        # The order published: even row and column, odd row, odd column, both odd.
        four = tokens.reshape(batch, half, 2, half, 2, dim).permute(0, 1, 3, 4, 2, 5)
        out: Tensor = self.reduction(self.norm(four.reshape(batch, half**2, 4 * dim)))
        return out


def offset_index(window: int) -> Tensor:
    """Row of the bias table for each pair of tokens of a window, int64 (T, T).

    (dy + window - 1) * (2 window - 1) + dx + window - 1, dy and dx from key to query.
    """
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    y, x = y.flatten(), x.flatten()
    dy = y[:, None] - y[None] + window - 1
    dx = x[:, None] - x[None] + window - 1
    return dy * (2 * window - 1) + dx


def region_mask(grid: int, window: int, shift: int) -> Tensor:
    """What to add to the scores so that a shifted window does not see across the grid's edge.

    Returns:
        Float32 (windows, T, T): 0 within a region, -100 between regions.
    """
    line = torch.arange(grid)
    part = (line >= grid - window).int() + (line >= grid - shift).int()
    region = 3 * part[:, None] + part[None]
    side = grid // window
    region = region.reshape(side, window, side, window).transpose(1, 2).reshape(side**2, -1)
    different = region[:, :, None] != region[:, None, :]
    return torch.where(different, OTHER_REGION, 0.0)
