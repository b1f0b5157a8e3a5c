"""The published image encoder: a plain pre-norm ViT without class token or final norm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2s_map.config.model import VitConfig
from s2s_map.models.image.positions import ground_positions
from s2s_map.models.precision import LayerNorm, Linear

EPS = 1e-6


class VitEncoder(nn.Module):
    """ViT with positions in metres; parameter names as in the published checkpoints."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.dim = config.dim
        self.tokens_per_side = config.tokens_per_side
        self.input_px = config.input_px
        self.patch_embed = PatchEmbedding(config.patch_px, config.dim)
        self.blocks = nn.ModuleList(
            Block(config.dim, config.heads, config.mlp_dim) for _ in range(config.depth)
        )

    def forward(self, pixels: Tensor, resolution_m: Tensor) -> Tensor:
        """Encode normalised images.

        Args:
            pixels: Images (B, 3, input_px, input_px).
            resolution_m: Ground resolution of each image (B,), metres.

        Returns:
            Tokens (B, tokens_per_side ** 2, dim), not normalised.
        """
        tokens: Tensor = self.patch_embed(pixels)
        positions = ground_positions(resolution_m, self.tokens_per_side, self.dim)
        # The residual stream is float32 whatever the blocks multiply in.
        tokens = tokens + positions
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


class PatchEmbedding(nn.Module):
    """Cuts an image into squares and maps each to a token."""

    def __init__(self, patch_px: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_px, stride=patch_px)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to tokens (B, T, dim)."""
        out: Tensor = self.proj(pixels.to(self.proj.weight.dtype))
        return out.flatten(2).transpose(1, 2)

    def halve(self) -> None:
        """Convert the convolution."""
        self.proj.to(torch.bfloat16)


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, dim: int, heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(dim, eps=EPS)
        self.attn = Attention(dim, heads)
        self.norm2 = LayerNorm(dim, eps=EPS)
        self.mlp = Mlp(dim, mlp_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, T, dim) to the same shape."""
        tokens = tokens + self.attn(self.norm1(tokens))
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, T, dim) to the same shape."""
        batch, count, dim = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, count, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, count, dim))
        return out


class Mlp(nn.Module):
    """Two linear maps with an exact GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.fc2 = Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (..., dim) to the same shape."""
        out: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return out
