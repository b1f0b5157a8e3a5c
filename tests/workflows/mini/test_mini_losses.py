"""The losses that the paper does not have."""

from __future__ import annotations

import pytest
import torch

from s2s_mini.losses import cover_match, keep_geometry


def test_cover_match_prefers_the_caption_of_the_own_cover() -> None:
    cover = torch.eye(3)
    right = cover_match(10 * torch.eye(3), cover, cover)
    wrong = cover_match(10 * torch.eye(3).roll(1, 0), cover, cover)
    assert right < 0.01 < wrong


def test_cover_match_ignores_texts_and_tokens_without_a_place() -> None:
    scores = torch.tensor([[5.0, 0.0], [0.0, 5.0]])
    cover = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert torch.isfinite(cover_match(scores, cover, cover))


def test_keep_geometry_is_zero_for_the_same_cosines() -> None:
    sentences = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    turned = sentences @ torch.linalg.qr(torch.randn(4, 4))[0]
    assert keep_geometry(3 * turned, sentences).item() == pytest.approx(0.0, abs=1e-10)
