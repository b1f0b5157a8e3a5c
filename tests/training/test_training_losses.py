"""The published losses against the reference's numbers, and properties of our own."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures_models import formula_weight
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from s2s_map.training.losses import (
    Embeddings,
    combine,
    contrastive,
    info_nce,
    logits,
    pseudo_positives,
    sat2sound_losses,
)


def test_info_nce_of_perfect_pairs_is_near_zero() -> None:
    assert info_nce(torch.eye(5) * 100).item() == pytest.approx(0.0, abs=1e-6)


def test_info_nce_of_equal_scores_is_the_log_of_the_batch() -> None:
    assert info_nce(torch.zeros(8, 8)).item() == pytest.approx(np.log(8))


def test_pseudo_positives_hold_the_diagonal_and_what_beats_it() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 0.5], [3.0, 3.0, 3.0]])
    expected = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    assert torch.equal(pseudo_positives(scores), expected)


def test_alpha_zero_is_plain_info_nce() -> None:
    scores = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(contrastive(scores, 0.0), info_nce(scores))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(0, 1000))
def test_pseudo_positives_only_ever_add(size: int, seed: int) -> None:
    scores = torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
    assert contrastive(scores, 0.5) >= info_nce(scores)


def test_only_losses_with_data_are_computed() -> None:
    generator = torch.Generator().manual_seed(0)
    image, text = torch.randn(4, 8, generator=generator), torch.randn(4, 8, generator=generator)
    scales = {n: torch.tensor(2.0) for n in ("ia", "it", "at", "i_at", "fdt")}
    losses = sat2sound_losses(Embeddings(image=image, image_text=text), scales)
    assert set(losses) == {"fdt"}
    assert combine(losses)["total"] == losses["fdt"]


def test_logits_do_not_depend_on_length() -> None:
    a, b = torch.randn(3, 5), torch.randn(4, 5)
    scale = torch.tensor(1.5)
    torch.testing.assert_close(logits(a, b, scale), logits(7 * a, 0.1 * b, scale))


GOLDEN = Path(__file__).parent.parent / "data" / "losses" / "golden_losses.npz"


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[np.float32]]:
    with np.load(GOLDEN, allow_pickle=False) as stored:
        return dict(stored)


@pytest.mark.parity
@pytest.mark.parametrize(("index", "alpha"), [(0, 0.1), (1, 0.5), (2, 0.0)])
def test_one_loss_matches_the_reference(
    golden: dict[str, NDArray[np.float32]], index: int, alpha: float
) -> None:
    random = np.random.RandomState(zlib.crc32(b"input:similarity"))
    scores = torch.from_numpy((3.0 * random.standard_normal((6, 6))).astype(np.float32))
    expected = golden["compute_loss_alpha0.1"][index]
    assert contrastive(scores, alpha).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parity
@pytest.mark.parametrize("metadata", ["nometa", "meta_all"])
def test_all_losses_match_the_reference(
    golden: dict[str, NDArray[np.float32]], metadata: str
) -> None:
    def batch(name: str) -> torch.Tensor:
        return torch.from_numpy(golden[f"batch_{name}"])

    embeddings = Embeddings(
        image=batch(f"sat_{metadata}"),
        audio=batch("audio_embeds"),
        audio_text=batch("audio_caption_embeds"),
        image_text=batch("fdt_txt_embeds"),
    )
    scales = {
        name: torch.tensor(float(formula_weight(f"logit_scale_{name}", ())))
        for name in ("ia", "it", "at", "i_at", "fdt")
    }
    losses = sat2sound_losses(embeddings, scales)
    losses |= combine(losses)
    found = [losses[n].item() for n in ("total", "multimodal", "fdt", "ia", "it", "at", "i_at")]
    np.testing.assert_allclose(found, golden[f"loss_{metadata}"], rtol=1e-4)
    # An ablation has the reference's number for each loss it keeps, and no other.
    for name in scales:
        alone = sat2sound_losses(embeddings, scales, terms=(name,))
        assert set(alone) == {name}
        assert torch.equal(alone[name], losses[name])
    three = combine({name: losses[name] for name in ("ia", "it", "at")})
    expected = golden[f"loss_{metadata}"][3:6].mean()
    assert three["total"].item() == pytest.approx(expected, rel=1e-4)
