"""Losses for tokens and for language, which the paper does not have. Pure functions."""

from __future__ import annotations

from torch import Tensor

from s2s_map.training.losses import EPSILON, normalise, soft_cross_entropy


def cover_match(scores: Tensor, token_cover: Tensor, text_cover: Tensor) -> Tensor:
    """Loss for tokens: each against the captions of its own land cover.

    A token matches a text by the dot product of their land-cover shares. Both directions are
    cross-entropies against the matches, scaled to sum to 1; rows without any match take no part.

    Args:
        scores: Logits (tokens, texts).
        token_cover: Shares (tokens, covers).
        text_cover: Weights (texts, covers); all zero for a text without a place.
    """
    match = token_cover @ text_cover.T
    return 0.5 * (_matched(scores, match) + _matched(scores.T, match.T))


def _matched(scores: Tensor, match: Tensor) -> Tensor:
    total = match.sum(dim=1, keepdim=True)
    known = total[:, 0] > EPSILON
    return soft_cross_entropy(scores[known], match[known] / total[known])


def keep_geometry(embeddings: Tensor, sentences: Tensor) -> Tensor:
    """Loss for language: cosines of text embeddings follow those of a sentence encoder.

    Args:
        embeddings: (n, dim).
        sentences: Sentence features (n, d) of the same texts.

    Returns:
        Mean squared difference of the two cosine matrices off the diagonal.
    """
    ours, theirs = normalise(embeddings), normalise(sentences)
    difference = (ours @ ours.T - theirs @ theirs.T).square()
    count = len(ours)
    return (difference.sum() - difference.diagonal().sum()) / max(1, count * (count - 1))
