"""The losses of Sat2Sound (arXiv 2505.13777). Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-8
PSEUDO_MATCH_ALPHA = 0.1


def normalise(vectors: Tensor) -> Tensor:
    """Scale vectors (..., dim) to length 1 as the published model does: x / (|x| + 1e-8)."""
    unit: Tensor = vectors / (vectors.norm(dim=-1, keepdim=True) + EPSILON)
    return unit


def logits(a: Tensor, b: Tensor, log_scale: Tensor) -> Tensor:
    """Scaled cosine similarities (n, m) of vectors (n, dim) and (m, dim)."""
    return log_scale.exp() * normalise(a) @ normalise(b).T


def soft_cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    """Mean over rows of -sum(target * log softmax(scores)); targets need not sum to 1."""
    return -(target * scores.log_softmax(dim=1)).sum(dim=1).mean()


def info_nce(scores: Tensor) -> Tensor:
    """Symmetric InfoNCE of square logits (n, n) whose diagonal holds the true pairs."""
    truth = torch.arange(len(scores), device=scores.device)
    return 0.5 * (F.cross_entropy(scores, truth) + F.cross_entropy(scores.T, truth))


_ROUNDINGS = 32
"""The root of a thousand dimensions: how far sums of so many products are apart by rounding."""


def pseudo_positives(scores: Tensor) -> Tensor:
    """The 0/1 target (n, n): the true pair, and whatever in its row scores at least as high.

    Scores that rounding alone keeps below that of the true pair, as those of equal captions, count
    as equal: else the target would hang on the order in which a processor sums.
    """
    rounding = _ROUNDINGS * torch.finfo(scores.dtype).eps * scores.detach().abs().max()
    target = (scores >= scores.diagonal()[:, None] - rounding).to(scores.dtype)
    return target.fill_diagonal_(1).detach()


def pseudo_match(scores: Tensor) -> Tensor:
    """InfoNCE against pseudo-positives, rows not re-normalised, as published."""
    target = pseudo_positives(scores)
    forward = soft_cross_entropy(scores, target)
    return 0.5 * (forward + soft_cross_entropy(scores.T, target.T))


def contrastive(scores: Tensor, alpha: float = PSEUDO_MATCH_ALPHA) -> Tensor:
    """InfoNCE plus alpha times the pseudo-positive loss."""
    loss = info_nce(scores)
    return loss + alpha * pseudo_match(scores) if alpha else loss


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of one batch, row i of each belonging together; not normalised.

    Attributes:
        image: (n, dim).
        audio: (n, dim) or None.
        audio_text: Embedded captions of the recordings (n, dim) or None.
        image_text: Embedded captions of the images (n, dim) or None.
    """

    image: Tensor
    audio: Tensor | None = None
    audio_text: Tensor | None = None
    image_text: Tensor | None = None


def join_embeddings(parts: Sequence[Embeddings]) -> Embeddings:
    """Put the parts of a batch together again, each with the same modalities."""
    names = [field.name for field in fields(Embeddings)]
    columns = {name: [getattr(part, name) for part in parts] for name in names}
    joined: dict[str, Any] = {
        name: None if column[0] is None else torch.cat(column) for name, column in columns.items()
    }
    return Embeddings(**joined)


def sat2sound_losses(
    embeddings: Embeddings,
    log_scales: Mapping[str, Tensor],
    alpha: float = PSEUDO_MATCH_ALPHA,
    terms: Collection[str] | None = None,
) -> dict[str, Tensor]:
    """Every published loss that the batch has the modalities for.

    Args:
        embeddings: The batch.
        log_scales: Logarithm of the logit scale of "ia", "it", "at", "i_at" and "fdt".
        alpha: Weight of pseudo-positives.
        terms: Which to compute; None: all.

    Returns:
        Losses by name: "ia" image-audio, "it" image-audio caption, "at" audio-audio caption,
        "i_at" image against both summed, "fdt" image-image caption.
    """
    image, audio, text = embeddings.image, embeddings.audio, embeddings.audio_text
    pairs: dict[str, tuple[Tensor, Tensor | None]] = {"ia": (image, audio), "it": (image, text)}
    if audio is not None and text is not None:
        pairs["at"] = (audio, text)
        pairs["i_at"] = (image, audio + text)
    pairs["fdt"] = (image, embeddings.image_text)
    return {
        name: contrastive(logits(a, b, log_scales[name]), alpha)
        for name, (a, b) in pairs.items()
        if b is not None and (terms is None or name in terms)
    }


def combine(losses: Mapping[str, Tensor], fdt_weight: float = 1.0) -> dict[str, Tensor]:
    """Sum the losses as published.

    Returns:
        "multimodal" = mean of "ia", "it", "at" (those present) + "i_at"; "total" = multimodal +
        fdt_weight * "fdt".

    Raises:
        KeyError: If there is no loss at all.
    """
    triple = [losses[name] for name in ("ia", "it", "at") if name in losses]
    zero = torch.zeros_like(next(iter(losses.values())))
    multimodal = torch.stack(triple).mean() if triple else zero
    multimodal = multimodal + losses.get("i_at", zero)
    return {
        "multimodal": multimodal,
        "total": multimodal + fdt_weight * losses.get("fdt", zero),
    }
