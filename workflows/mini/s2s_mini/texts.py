"""Captions with their land covers, encoded once by the frozen text encoder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from s2s_map.errors import DataError
from s2s_map.models.protocols import TextEncoder


@dataclass(frozen=True)
class CaptionFile:
    """Captions as the preparation script wrote them.

    Attributes:
        covers: Names of the land covers.
        texts: The captions.
        weights: Cover weights (n, k), rows summing to 1 or, for texts without a place, to 0.
        held_out: Wordings kept out of training: kind -> group -> texts.
    """

    covers: tuple[str, ...]
    texts: tuple[str, ...]
    weights: Tensor
    held_out: dict[str, dict[str, list[str]]]

    @classmethod
    def load(cls, path: Path) -> CaptionFile:
        """Read the file.

        Raises:
            DataError: If it is missing or its parts do not fit together.
        """
        if not path.exists():
            raise DataError(
                f"no captions at {path}", remedy="run python workflows/mini prepare first"
            )
        raw = json.loads(path.read_text(encoding="utf-8"))
        weights = torch.tensor([c["weights"] for c in raw["captions"]], dtype=torch.float32)
        if weights.ndim != 2 or weights.shape[1] != len(raw["covers"]):
            raise DataError(
                f"{path} gives cover weights of shape {tuple(weights.shape)}",
                expected=f"{len(raw['covers'])} weights for each caption",
            )
        texts = tuple(c["text"] for c in raw["captions"])
        return cls(tuple(raw["covers"]), texts, weights, raw["held_out"])


def encode_texts(encoder: TextEncoder, texts: tuple[str, ...]) -> Tensor:
    """Encode texts one by one.

    Returns:
        Features (n, T, dim) in half precision (3,000 captions take 50 MB). A shorter text repeats
        its first token: the codebook keeps the best score over tokens, so that changes nothing.
    """
    rows = [encoder.tokens(text)[0].half() for text in texts]
    longest = max(len(row) for row in rows)
    return torch.stack([torch.cat([row, row[:1].expand(longest - len(row), -1)]) for row in rows])


class CaptionSampler:
    """Draws captions so that every land cover is named about equally often.

    Args:
        weights: Cover weights (n, k).
        neutral_share: Share of draws that go to captions without a place.
    """

    def __init__(self, weights: Tensor, neutral_share: float = 0.08) -> None:
        placed = weights.sum(dim=1) > 0
        chance = (weights / weights.sum(dim=0).clamp(min=1e-6)).sum(dim=1)
        chance = chance / chance.sum() * (1 - neutral_share)
        neutral = (~placed).float()
        self._weights = weights
        self._chance = chance + neutral * neutral_share / neutral.sum().clamp(min=1)

    def draw(self, count: int) -> Tensor:
        """Indices (count,) of captions, each at most once."""
        count = min(count, int((self._chance > 0).sum()))
        return torch.multinomial(self._chance, count)

    def match(self, shares: Tensor, sharpness: float = 40.0) -> Tensor:
        """Draw one caption for each row of land-cover shares (b, k): the nearer the likelier."""
        distance = torch.cdist(shares, self._weights).square()
        placed = self._weights.sum(dim=1) > 0
        chance = torch.exp(-sharpness * (distance - distance.min(dim=1, keepdim=True).values))
        # Many captions name one cover alone: each cover mix gets the same total chance.
        return torch.multinomial(chance * self._chance * placed + 1e-12, 1)[:, 0]
