"""The shared codebook: tokens of any modality become sparse mixes of the same concepts."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from s2s_map.config.model import CodebookConfig
from s2s_map.models.sparsemax import sparsemax

type Modality = Literal["image", "text", "audio"]

CHUNK_NUMBERS = 2**22
"""Scores held at a time, 16 MiB in float32: a chunk that stays near the processor's cache."""


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
            self.mix(self.weights(self._dot(part))) for part in torch.split(flat, self._rows(1))
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
        for part in torch.split(queries, self._rows(queries.shape[1])):
            scores = self._dot(part)
            pooled.append(scores.amax(dim=1))
            tokens.append(self.mix(self.weights(scores[:, :count])))
        return self.mix(self.weights(torch.cat(pooled))), torch.cat(tokens)

    def pooled_scores(self, queries: Tensor, mask: Tensor | None = None) -> Tensor:
        """The best score over tokens of each code, (B, codes): raw dot products."""
        size = self._rows(queries.shape[1])
        best = []
        for start in range(0, len(queries), size):
            scores = self._dot(queries[start : start + size])
            if mask is not None:
                scores = scores.masked_fill(~mask[start : start + size, :, None], 0)
            # The max keeps only indices for its gradient, so (B, T, codes) is never held.
            best.append(scores.max(dim=1).values)
        return torch.cat(best)

    def weights(self, scores: Tensor) -> Tensor:
        """Turn raw scores (..., codes) into sparse weights that sum to 1, float32."""
        # The published order of divisions; taking the maximum before them changes nothing.
        scores = scores.float() / math.sqrt(self.space_dict.shape[1]) / self.score_scale
        return sparsemax(scores)

    def mix(self, weights: Tensor) -> Tensor:
        """Mix codes by weights (..., codes): (..., dim)."""
        return weights.to(self.space_dict.dtype) @ self.space_dict

    def attention(
        self, queries: Tensor, codes: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Token attention as the published model reports it.

        Args:
            queries: (B, T, dim).
            codes: Indices of the codes wanted; None: all.
            mask: Tokens that are not padding, bool (B, T).

        Returns:
            (B, T, codes): raw dot products; with a mask, divided by sqrt(dim) and 0 where
            padded.
        """
        keys = self.space_dict if codes is None else self.space_dict[codes]
        scores = queries @ keys.T
        if mask is None:
            return scores
        return scores / math.sqrt(keys.shape[1]) * mask[:, :, None]

    def _dot(self, queries: Tensor) -> Tensor:
        return queries @ self.space_dict.T

    def _rows(self, scores_per_row: int) -> int:
        return max(1, CHUNK_NUMBERS // (scores_per_row * self.space_dict.shape[0]))


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
            nn.LayerNorm(dim_in),
            nn.Linear(dim_in, dim),
            nn.GELU(),
            nn.LayerNorm(dim),
            nn.Linear(dim, dim),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (..., dim_in) to queries (..., dim)."""
        queries: Tensor = self.q_map(tokens)
        return queries
