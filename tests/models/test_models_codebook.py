"""The codebook head at small size."""

from __future__ import annotations

import pytest
import torch
from fixtures_models import fill
from torch import Tensor

from s2s_map.config.model import CodebookConfig
from s2s_map.models import codebook as module
from s2s_map.models.codebook import Codebook

SIZE, DIM = 48, 16


@pytest.fixture
def codebook() -> Codebook:
    head = Codebook(
        CodebookConfig(size=SIZE, dim=DIM, score_scale=5.0),
        image_dim=12,
        text_dim=10,
        audio_dim=None,
    )
    fill(head)
    return head


@pytest.fixture
def queries(codebook: Codebook) -> Tensor:
    tokens = torch.randn(3, 9, 12, generator=torch.Generator().manual_seed(0))
    return codebook.query(tokens, "image").detach()


def test_a_token_by_itself_is_the_pooled_head_of_one_token(
    codebook: Codebook, queries: Tensor
) -> None:
    each = codebook.per_token(queries)
    alone = codebook.pooled(queries.reshape(-1, 1, DIM)).reshape(queries.shape)
    torch.testing.assert_close(each, alone)


def test_both_levels_at_once_are_the_levels_by_themselves(
    codebook: Codebook, queries: Tensor
) -> None:
    pooled, tokens = codebook.both(queries, 7)
    torch.testing.assert_close(pooled, codebook.pooled(queries))
    torch.testing.assert_close(tokens, codebook.per_token(queries[:, :7]))


@pytest.mark.parametrize("numbers", [1, SIZE * 9, SIZE * 20])
def test_chunks_change_nothing(
    codebook: Codebook, queries: Tensor, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = torch.arange(9) < torch.tensor([[9], [4], [1]])
    before = (
        codebook.pooled(queries),
        codebook.pooled(queries, mask),
        codebook.per_token(queries),
        *codebook.both(queries, 9),
    )
    monkeypatch.setattr(module, "CHUNK_NUMBERS", numbers)
    after = (
        codebook.pooled(queries),
        codebook.pooled(queries, mask),
        codebook.per_token(queries),
        *codebook.both(queries, 9),
    )
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other)


def test_maximum_before_the_divisions_is_that_after_them(
    codebook: Codebook, queries: Tensor
) -> None:
    scores = queries @ codebook.space_dict.T
    late = module.sparsemax((scores / DIM**0.5 / 5.0).amax(dim=1))
    torch.testing.assert_close(codebook.weights(codebook.pooled_scores(queries)), late)


def test_embedding_is_a_sparse_mix_of_codes(codebook: Codebook, queries: Tensor) -> None:
    weights = codebook.weights(codebook.pooled_scores(queries))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3))
    assert 0 < (weights > 0).sum() < weights.numel()
    torch.testing.assert_close(codebook.pooled(queries), weights @ codebook.space_dict)


def test_padding_counts_as_zero_scores_however_long(codebook: Codebook) -> None:
    features = torch.randn(1, 8, 10, generator=torch.Generator().manual_seed(1))
    queries = codebook.query(features, "text")
    some = codebook.pooled(queries[:, :5], torch.arange(5)[None] < 3)
    more = codebook.pooled(queries, torch.arange(8)[None] < 3)
    torch.testing.assert_close(some, more)
    scores = codebook.pooled_scores(queries[:, :5], torch.arange(5)[None] < 3)
    assert scores.min() >= 0
    whole = codebook.pooled(queries, torch.ones(1, 8, dtype=torch.bool))
    torch.testing.assert_close(whole, codebook.pooled(queries))


def test_gradients_reach_codes_and_query_map(codebook: Codebook) -> None:
    tokens = torch.randn(2, 4, 12, generator=torch.Generator().manual_seed(2))
    for embed in (codebook.pooled, codebook.per_token):
        codebook.zero_grad()
        embed(codebook.query(tokens, "image")).square().sum().backward()
        assert codebook.space_dict.grad is not None
        assert codebook.space_dict.grad.any()
        for parameter in codebook.img_query_model.parameters():
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("codes", [7, 48, 100])
@pytest.mark.parametrize("numbers", [1, 100, 2**20])
def test_runs_of_codes_and_of_sets_change_nothing(
    codebook: Codebook,
    queries: Tensor,
    codes: int,
    numbers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mask = torch.ones(3, 9, dtype=torch.bool)
    mask[1, 4:] = False
    monkeypatch.setattr(module, "CHUNK_CODES", codes)
    monkeypatch.setattr(module, "CHUNK_NUMBERS", numbers)
    with torch.inference_mode():
        codes_t = codebook.space_dict.T
        scores = queries @ codes_t
        # Products of other shapes sum in another order: dim roundings of their terms at most.
        terms = float((queries.abs() @ codes_t.abs()).max())
        near = {"atol": len(codes_t) * torch.finfo(torch.float32).eps * terms, "rtol": 0.0}
        torch.testing.assert_close(codebook.pooled_scores(queries), scores.amax(dim=1), **near)
        scores[1, 4:] = 0
        both = codebook.pooled_scores(queries, mask), scores.amax(dim=1)
        torch.testing.assert_close(*both, **near)


def test_half_codes_score_queries_of_their_type_only(codebook: Codebook, queries: Tensor) -> None:
    with torch.inference_mode():
        plain, tokens = codebook.pooled(queries), codebook.per_token(queries)
        codebook.halve()
        assert "half_keys" not in codebook.state_dict()
        torch.testing.assert_close(codebook.pooled(queries), plain)
        half = codebook.pooled(queries.bfloat16())
        assert half.dtype == torch.float32
        assert torch.cosine_similarity(half, plain).min() > 0.99
        half = codebook.per_token(queries.bfloat16())
        assert half.dtype == torch.float32
        assert torch.cosine_similarity(half, tokens, dim=-1).min() > 0.99
