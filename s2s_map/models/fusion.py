"""Metadata fusion: image tokens and metadata tokens in one small transformer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2s_map.config.model import FusionConfig, MaskedTokens, MetadataField
from s2s_map.models.metadata import AUDIO_SOURCES, CAPTION_SOURCES, Metadata
from s2s_map.models.precision import LayerNorm, Linear


class MetadataFusion(nn.Module):
    """Appends one token per metadata field and lets all tokens attend to each other.

    What comes out for an image depends on that image and its own metadata alone: PyTorch's
    `TransformerEncoder` is not used, because its nested-tensor path switches the whole batch
    between two behaviours of masked tokens. Which of the two holds is said by
    the metadata, else by `FusionConfig.masked_tokens`. Parameter names are those of the published
    checkpoints.
    """

    def __init__(self, dim: int, fields: tuple[MetadataField, ...], config: FusionConfig) -> None:
        super().__init__()
        self.fields = fields
        self.masked_tokens: MaskedTokens = config.masked_tokens
        self.transformer_encoder = FusionTransformer(dim, config)
        self.meta_embed = MetadataEmbedding(dim, fields, config.field_hidden_dim)

    def forward(
        self, tokens: Tensor, metadata: Metadata | None = None, known: Tensor | None = None
    ) -> Tensor:
        """Fuse metadata into image tokens.

        Args:
            tokens: Image tokens (B, T, dim).
            metadata: Encoded metadata; None: every field unknown.
            known: Overrides which fields count as known, bool (B, fields), in the order of
                `fields`; used in training to hide fields.

        Returns:
            All tokens (B, T + fields, dim), the metadata tokens last.
        """
        metadata = metadata or Metadata({}, {})
        if known is None:
            known = self.known(metadata, tokens.shape[0])
        # Asked where the flags are, mostly on the CPU, so that a GPU need not wait: without a
        # mask attention takes its fastest kernel.
        everything = bool(known.all())
        known = known.to(tokens.device)
        extra = self.meta_embed(metadata, tokens) * known[:, :, None]
        joined = torch.cat([tokens, extra], dim=1)
        if everything:
            whole: Tensor = self.transformer_encoder(joined, None)
            return whole
        keys = torch.cat([known.new_ones(tokens.shape[:2]), known], dim=1)
        fused: Tensor = self.transformer_encoder(joined, keys)
        if (metadata.masked_tokens or self.masked_tokens) == "zero":
            fused = fused * keys[:, :, None]
        return fused

    def known(self, metadata: Metadata, count: int) -> Tensor:
        """Which fields are known, bool (count, fields)."""
        return torch.stack([metadata.mask(field, count) for field in self.fields], dim=1)


class FusionTransformer(nn.Module):
    """A stack of post-norm layers without final norm."""

    def __init__(self, dim: int, config: FusionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FusionLayer(dim, config) for _ in range(config.layers))

    def forward(self, tokens: Tensor, keys: Tensor | None) -> Tensor:
        """Map tokens (B, N, dim) to the same shape; only those in `keys` (B, N) are seen."""
        for layer in self.layers:
            tokens = layer(tokens, keys)
        return tokens


class FusionLayer(nn.Module):
    """Post-norm transformer layer: x = LN(x + SA(x)); x = LN(x + FF(x))."""

    def __init__(self, dim: int, config: FusionConfig) -> None:
        super().__init__()
        self.self_attn = SelfAttention(dim, config.heads, config.dropout)
        self.linear1 = Linear(dim, config.ff_dim)
        self.linear2 = Linear(config.ff_dim, dim)
        self.norm1 = LayerNorm(dim)
        self.norm2 = LayerNorm(dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor, keys: Tensor | None) -> Tensor:
        """Map tokens (B, N, dim) to the same shape."""
        tokens = self.norm1(tokens + self.dropout(self.self_attn(tokens, keys)))
        hidden = self.dropout(F.gelu(self.linear1(tokens)))
        out: Tensor = self.norm2(tokens + self.dropout(self.linear2(hidden)))
        return out


class SelfAttention(nn.Module):
    """Multi-head self-attention with the parameter names of `nn.MultiheadAttention`."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, tokens: Tensor, keys: Tensor | None) -> Tensor:
        """Map tokens (B, N, dim) to the same shape; only those in `keys` (B, N) are seen."""
        batch, count, dim = tokens.shape
        weight, bias = self.in_proj_weight, self.in_proj_bias
        qkv = F.linear(tokens.to(weight.dtype), weight, bias)
        qkv = qkv.reshape(batch, count, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if keys is None else keys[:, None, None, :],
            dropout_p=self.dropout * self.training,
        )
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(batch, count, dim))
        return out

    def halve(self) -> None:
        """Convert the input map; the output map is a layer of its own."""
        for parameter in (self.in_proj_weight, self.in_proj_bias):
            parameter.data = parameter.data.to(torch.bfloat16)


class MetadataEmbedding(nn.Module):
    """One token per metadata field, from its encoded value."""

    def __init__(self, dim: int, fields: tuple[MetadataField, ...], hidden: int) -> None:
        super().__init__()
        self.dim = dim
        self.fields = fields
        if "asource" in fields:
            self.audio_source_fc = SourceEmbedding(len(AUDIO_SOURCES), dim)
        if "tsource" in fields:
            self.caption_source_fc = SourceEmbedding(len(CAPTION_SOURCES), dim)
        if "latlong" in fields:
            self.location_fc = FieldMlp(4, hidden, dim)
        if "month" in fields:
            self.month_fc = FieldMlp(2, hidden, dim)
        if "time" in fields:
            self.time_fc = FieldMlp(2, hidden, dim)

    def forward(self, metadata: Metadata, like: Tensor) -> Tensor:
        """Embed metadata (B, ...) as tokens (B, fields, dim) with the device of `like`."""
        tokens = [self._token(field, metadata, like) for field in self.fields]
        return torch.stack(tokens, dim=1)

    def _token(self, field: MetadataField, metadata: Metadata, like: Tensor) -> Tensor:
        if field not in metadata.values:
            return like.new_zeros(like.shape[0], self.dim)
        value = metadata.values[field].to(like.device)
        encoder: nn.Module = getattr(self, FIELD_MODULES[field])
        out: Tensor = encoder(value)
        return out


FIELD_MODULES: dict[MetadataField, str] = {
    "asource": "audio_source_fc",
    "tsource": "caption_source_fc",
    "latlong": "location_fc",
    "month": "month_fc",
    "time": "time_fc",
}


class SourceEmbedding(nn.Module):
    """A learned vector per source."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.source_embed = nn.Embedding(count, dim)

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (B,) to vectors (B, dim)."""
        out: Tensor = self.source_embed(ids)
        return out


class FieldMlp(nn.Module):
    """Two linear maps with an exact GELU between, for a field of a few numbers."""

    def __init__(self, count: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(count, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, value: Tensor) -> Tensor:
        """Map values (B, count) to vectors (B, dim)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(value)))
        return out
