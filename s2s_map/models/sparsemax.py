"""Sparsemax: the Euclidean projection onto the probability simplex.

Martins and Astudillo, "From Softmax to Sparsemax", 2016, arXiv 1602.02068.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def sparsemax(scores: Tensor) -> Tensor:
    """Project scores onto the simplex along the last dimension.

    Args:
        scores: Real scores (..., n).

    Returns:
        Non-negative weights (..., n) of the same dtype that sum to 1, most of them zero.
    """
    weights: Tensor = _Sparsemax.apply(scores)
    return weights


def _threshold(scores: Tensor) -> Tensor:
    """Find tau (..., 1) with sum(max(scores - tau, 0)) = 1.

    Michelot's iteration (1986): tau of all entries, then of those above it, and so on. Each
    step is exact for its set and sets only shrink, so it ends, after a few steps, at the
    solution that sorting finds, without sorting.
    """
    # No entry a whole unit below the largest can be in the support.
    support = scores > scores.amax(dim=-1, keepdim=True) - 1.0
    count = support.sum(dim=-1, keepdim=True, dtype=scores.dtype)
    while True:
        tau = (torch.where(support, scores, 0).sum(dim=-1, keepdim=True) - 1.0) / count
        # Intersecting keeps rounding from letting an entry back in, so that the loop ends.
        support &= scores > tau
        left = support.sum(dim=-1, keepdim=True, dtype=scores.dtype)
        if torch.equal(left, count):
            return tau
        count = left


class _Sparsemax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        shifted = scores - scores.amax(dim=-1, keepdim=True)
        weights = (shifted - _threshold(shifted)).clamp_(min=0)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        (weights,) = ctx.saved_tensors
        support = weights > 0
        kept = torch.where(support, gradient, 0)
        mean = kept.sum(dim=-1, keepdim=True) / support.sum(dim=-1, keepdim=True)
        return torch.where(support, kept - mean, 0)
