"""The shared codebook: tokens of any modality become sparse mixes of the same concepts."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from s2s_map.config.model import CodebookConfig
from s2s_map.models.precision import LayerNorm, Linear
from s2s_map.models.sparsemax import sparsemax

type Modality = Literal["image", "text", "audio"]

CHUNK_NUMBERS = 2**23
"""Scores held at a time, 32 MiB in float32."""
CHUNK_CODES = 2000
"""Codes scored at a time: wide enough for full speed, and little enough to stay near the cache."""


class Codebook(nn.Module):
    """Query maps per modality and one codebook that is keys and values for all of them.

    Args:
        config: Sizes.
        image_dim: Numbers per image token.
        text_dim: Numbers per text token.
        audio_dim: Numbers per audio token; None leaves the audio query map out.
    """

    def __init__(
        self, config: CodebookConfig, *, image_dim: int, text_dim: int, audio_dim: int | None
    ) -> None:
        super().__init__()
        self.score_scale = config.score_scale
        self.space_dict = nn.Parameter(torch.randn(config.size, config.dim))
        self.half_keys: Tensor | None
        self.register_buffer("half_keys", None, persistent=False)
        self.img_query_model = QueryMap(image_dim, config.dim)
        self.txt_query_model = QueryMap(text_dim, config.dim)
        if audio_dim is not None:
            self.audio_query_model = QueryMap(audio_dim, config.dim)

    def query(self, tokens: Tensor, modality: Modality) -> Tensor:
        """Map tokens (..., dim of the modality) to queries (..., dim)."""
        queries: Tensor = getattr(self, QUERY_MODULES[modality])(tokens)
        return queries

    def pooled(self, queries: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embed each set of queries as one vector: the codes' best scores over its tokens.

        Args:
            queries: (B, T, dim).
            mask: Tokens that are not padding, bool (B, T). As in the published model a padded
                token scores 0 for every code.

        Returns:
            Embeddings (B, dim), not normalised.
        """
        return self.mix(self.weights(self.pooled_scores(queries, mask)))

    def per_token(self, queries: Tensor) -> Tensor:
        """Embed each query (..., T, dim) by itself: (..., T, dim), not normalised.

        What `pooled` gives for a set of one token.
        """
        flat = queries.reshape(-1, queries.shape[-1])
        parts = [
            self._blend(self.weights(self._dot(part)))
            for part in torch.split(flat, self._rows(self.space_dict.shape[0]))
        ]
        return torch.cat(parts).reshape(queries.shape)

    def both(self, queries: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """`pooled` over all queries and `per_token` of the first `count`, scored once.

        Args:
            queries: (B, T, dim).
            count: Tokens embedded by themselves, the first ones.

        Returns:
            (B, dim) and (B, count, dim), not normalised.
        """
        pooled, tokens = [], []
        size = self._rows(queries.shape[1] * self.space_dict.shape[0])
        for part in torch.split(queries, size):
            scores = self._dot(part)
            pooled.append(scores.amax(dim=1))
            tokens.append(self._blend(self.weights(scores[:, :count])))
        return self.mix(self.weights(torch.cat(pooled))), torch.cat(tokens)

    def pooled_scores(self, queries: Tensor, mask: Tensor | None = None) -> Tensor:
        """The best score over tokens of each code, (B, codes): raw dot products.

        All scores (B, T, codes) are never held, only those of a run of codes for a run of sets.
        """
        keys = self._keys(queries)
        runs = torch.split(keys, CHUNK_CODES)
        size = self._rows(queries.shape[1] * len(runs[0]))
        best = []
        for start in range(0, len(queries), size):
            part = queries[start : start + size]
            hidden = None if mask is None else ~mask[start : start + size, :, None]
            best.append(torch.cat([_best(part, run, hidden) for run in runs], dim=1))
        return torch.cat(best)

    def weights(self, scores: Tensor) -> Tensor:
        """Turn raw scores (..., codes) into sparse weights that sum to 1, float32."""
        # The published order of divisions; taking the maximum before them changes nothing.
        scores = scores.float() / math.sqrt(self.space_dict.shape[1]) / self.score_scale
        return sparsemax(scores)

    def mix(self, weights: Tensor) -> Tensor:
        """Mix codes by weights (..., codes): (..., dim), in float32 if the codebook is."""
        return weights.to(self.space_dict.dtype) @ self.space_dict

    def halve(self) -> None:
        """Score queries that come in bfloat16, and mix single tokens, in bfloat16."""
        self.half_keys = self.space_dict.detach().to(torch.bfloat16)

    def _keys(self, queries: Tensor) -> Tensor:
        """The codes in the type of the queries."""
        if self.half_keys is not None and queries.dtype == self.half_keys.dtype:
            return self.half_keys
        return self.space_dict

    def _dot(self, queries: Tensor) -> Tensor:
        return queries @ self._keys(queries).T

    def _blend(self, weights: Tensor) -> Tensor:
        """Mix many rows of weights, in bfloat16 if halved; float32 out."""
        if self.half_keys is None:
            return self.mix(weights)
        return (weights.to(self.half_keys.dtype) @ self.half_keys).float()

    @staticmethod
    def _rows(scores_per_row: int) -> int:
        return max(1, CHUNK_NUMBERS // scores_per_row)


def _best(queries: Tensor, keys: Tensor, hidden: Tensor | None) -> Tensor:
    """Best score of each key (n, dim) over queries (B, T, dim): (B, n)."""
    scores = queries @ keys.T
    if hidden is not None:
        scores = scores.masked_fill(hidden, 0)
    if not scores.requires_grad:
        return scores.amax(dim=1)
    # The gradient of this maximum needs its indices only, not all scores.
    return scores.max(dim=1).values


QUERY_MODULES: dict[Modality, str] = {
    "image": "img_query_model",
    "text": "txt_query_model",
    "audio": "audio_query_model",
}


class QueryMap(nn.Module):
    """Maps tokens of one modality into the codebook's space."""

    def __init__(self, dim_in: int, dim: int) -> None:
        super().__init__()
        self.q_map = nn.Sequential(
            LayerNorm(dim_in),
            Linear(dim_in, dim),
            nn.GELU(),
            LayerNorm(dim),
            Linear(dim, dim),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (..., dim_in) to queries (..., dim)."""
        queries: Tensor = self.q_map(tokens)
        return queries
