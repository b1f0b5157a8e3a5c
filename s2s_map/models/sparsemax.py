"""Sparsemax: the Euclidean projection onto the probability simplex.

Martins and Astudillo, "From Softmax to Sparsemax", 2016, arXiv 1602.02068.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

LARGEST = 256
"""Scores of each row that are sorted at first. The published model's mixes have 50 to 150 codes."""


def sparsemax(scores: Tensor, largest: int = LARGEST) -> Tensor:
    """Project scores onto the simplex along the last dimension.

    Args:
        scores: Real scores (..., n).
        largest: Scores of each row that are sorted at first; decides the speed only.

    Returns:
        Non-negative weights (..., n) of the same dtype that sum to 1, most of them zero.
    """
    weights: Tensor = _Sparsemax.apply(scores, largest)
    return weights


def _threshold(scores: Tensor, largest: int) -> Tensor:
    """Find tau (rows, 1) with sum(max(scores - tau, 0)) = 1 for scores (rows, n).

    The definition takes tau from the longest sorted prefix that stays above it. Scores beyond that
    prefix play no part, so the `largest` scores are enough for every row whose prefix ends among
    them: exact, without sorting the rest. The other rows are done by Michelot's iteration.
    """
    if scores.shape[1] <= largest:
        return _by_sorting(_descending(scores))[0]
    tau, inside = _by_sorting(scores.topk(largest, dim=1).values)
    if bool(inside.all()):
        return tau
    rest = ~inside[:, 0]
    tau[rest] = _by_iterating(scores[rest])
    return tau


def _descending(scores: Tensor) -> Tensor:
    # On a processor NumPy sorts rows of a few hundred numbers ten times as fast; the values that
    # come out are the same. Scores here have no gradient of their own.
    if scores.device.type == "cpu" and scores.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(np.sort(scores.numpy(), axis=1)).flip(1)
    return scores.sort(dim=1, descending=True).values


def _by_sorting(ordered: Tensor) -> tuple[Tensor, Tensor]:
    """Tau (rows, 1) of descending scores, and whether the prefix ended before the last one."""
    ranks = torch.arange(1, ordered.shape[1] + 1, dtype=ordered.dtype, device=ordered.device)
    sums = ordered.cumsum(dim=1)
    # Always true of the first, which rounding must not undo for scores of any size.
    above = 1 + ranks * ordered > sums
    count = above.sum(dim=1, keepdim=True).clamp_(min=1)
    tau = (sums.gather(1, count - 1) - 1) / count
    return tau, count < ordered.shape[1]


def _by_iterating(scores: Tensor) -> Tensor:
    """Tau (rows, 1) without sorting.

    Michelot's iteration (1986): tau of all entries, then of those above it, and so on. Each
    step is exact for its set and sets only shrink, so it ends, after a few steps, at the
    solution that sorting finds.
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
    def forward(ctx: Any, scores: Tensor, largest: int) -> Tensor:
        # Sums of small numbers round less: the largest score becomes 0.
        shifted = scores - scores.amax(dim=-1, keepdim=True)
        tau = _threshold(shifted.reshape(-1, shifted.shape[-1]), largest)
        weights = shifted.sub_(tau.reshape(*shifted.shape[:-1], 1)).clamp_(min=0)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        (weights,) = ctx.saved_tensors
        support = weights > 0
        kept = torch.where(support, gradient, 0)
        mean = kept.sum(dim=-1, keepdim=True) / support.sum(dim=-1, keepdim=True)
        return torch.where(support, kept - mean, 0), None
