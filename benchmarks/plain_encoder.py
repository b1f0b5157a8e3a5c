"""The satellite branch written plainly in float32, as the yardstick of `encoder.py`.

The same arithmetic as the published model, with the means of its time: attention as two products
and a softmax, all scores (patches, tokens, codes) in memory and divided before the maximum, and
sparsemax by sorting all codes. It uses the network's own weights.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from s2s_map.models.image.positions import ground_positions
from s2s_map.models.metadata import Metadata
from s2s_map.models.sat2sound import Sat2Sound


def embed(
    network: Sat2Sound,
    pixels: Tensor,
    resolution_m: Tensor,
    metadata: Metadata | None,
    level: str = "patch",
) -> Tensor:
    """Embed normalised images (B, 3, H, W) as (B, dim), or (B, tokens, dim); not normalised."""
    tokens = backbone(network, pixels, resolution_m)
    count = tokens.shape[1]
    tokens = fuse(network, tokens, metadata)
    queries = network.fdt.img_query_model.q_map(tokens)
    if level == "token":
        queries = queries[:, :count]
    codes = network.fdt.space_dict
    scores = queries @ codes.T / math.sqrt(codes.shape[1])
    scores = scores / network.fdt.score_scale
    return sorted_sparsemax(scores if level == "token" else scores.max(dim=1).values) @ codes


def backbone(network: Sat2Sound, pixels: Tensor, resolution_m: Tensor) -> Tensor:
    """Encode and project images: (B, tokens, dim)."""
    vit, projector = network.satmae_backbone.backbone, network.satmae_backbone.projector
    tokens = vit.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
    tokens = tokens + ground_positions(resolution_m, vit.tokens_per_side, vit.dim)
    for block in vit.blocks:
        qkv = block.attn.qkv(block.norm1(tokens))
        tokens = tokens + block.attn.proj(attend(qkv, block.attn.heads, None))
        hidden = F.gelu(block.mlp.fc1(block.norm2(tokens)))
        tokens = tokens + block.mlp.fc2(hidden)
    return projector.linear2(F.gelu(projector.linear1(tokens)))


def fuse(network: Sat2Sound, tokens: Tensor, metadata: Metadata | None) -> Tensor:
    """Append the metadata tokens and let all attend to each other."""
    if not network.config.metadata:
        return tokens
    fuser = network.sat_encoder.meta_fuser
    metadata = metadata or Metadata({}, {})
    known = fuser.known(metadata, len(tokens)).to(tokens.device)
    extra = fuser.meta_embed(metadata, tokens) * known[:, :, None]
    keys = torch.cat([known.new_ones(tokens.shape[:2]), known], dim=1)
    tokens = torch.cat([tokens, extra], dim=1)
    for layer in fuser.transformer_encoder.layers:
        own = layer.self_attn
        qkv = F.linear(tokens, own.in_proj_weight, own.in_proj_bias)
        tokens = layer.norm1(tokens + own.out_proj(attend(qkv, own.heads, keys)))
        tokens = layer.norm2(tokens + layer.linear2(F.gelu(layer.linear1(tokens))))
    return tokens * keys[:, :, None] if fuser.masked_tokens == "zero" else tokens


def attend(qkv: Tensor, heads: int, keys: Tensor | None) -> Tensor:
    """Multi-head attention (B, N, dim) from queries, keys and values (B, N, 3 * dim)."""
    batch, count, width = qkv.shape
    parts = qkv.reshape(batch, count, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4)
    q, k, v = parts
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if keys is not None:
        scores = scores.masked_fill(~keys[:, None, None, :], -math.inf)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(batch, count, width // 3)


def sorted_sparsemax(scores: Tensor) -> Tensor:
    """Sparsemax along the last dimension by sorting everything."""
    scores = scores - scores.max(dim=-1, keepdim=True).values
    ordered = scores.sort(dim=-1, descending=True).values
    sums = ordered.cumsum(dim=-1)
    ranks = torch.arange(1, scores.shape[-1] + 1, dtype=scores.dtype, device=scores.device)
    count = (1 + ranks * ordered > sums).sum(dim=-1, keepdim=True)
    tau = (sums.gather(-1, count - 1) - 1) / count
    return (scores - tau).clamp(min=0)
