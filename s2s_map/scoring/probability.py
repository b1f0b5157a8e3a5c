"""From similarity to probability, never without the name of the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import QueryError
from s2s_map.scoring.similarity import Floats, similarity_rows

NO_PROBABILITY = "similarity"
"""Name and label of the method that makes no probability."""


class ProbabilityMethod(Protocol):
    """How similarities become the first layer of a map."""

    @property
    def name(self) -> str:
        """Short name, kept with the map: softmax, similarity, calibrated."""

    @property
    def label(self) -> str:
        """What legends and band descriptions say, such as ``softmax, uncalibrated``."""

    def __call__(self, similarity: Floats, background_similarity: Floats) -> NDArray[np.float32]:
        """Return probabilities of shape (...,) from similarities of (...,) and (..., n)."""


@dataclass(frozen=True)
class SoftmaxMethod:
    """Softmax over the query and a background vocabulary.

    Attributes:
        temperature: What similarities are divided by, above 0.
    """

    temperature: float

    @property
    def name(self) -> str:
        """Short name of the method."""
        return "softmax"

    @property
    def label(self) -> str:
        """What legends say."""
        return "softmax, uncalibrated"

    def __call__(self, similarity: Floats, background_similarity: Floats) -> NDArray[np.float32]:
        """Return `softmax_probability` at this temperature."""
        return softmax_probability(similarity, background_similarity, self.temperature)


@dataclass(frozen=True)
class SimilarityMethod:
    """No probability: the cosine similarity itself, for those who trust nothing else."""

    @property
    def name(self) -> str:
        """Short name of the method."""
        return NO_PROBABILITY

    @property
    def label(self) -> str:
        """What legends say."""
        return NO_PROBABILITY

    def __call__(self, similarity: Floats, background_similarity: Floats) -> NDArray[np.float32]:
        """Return the similarity as it is."""
        return np.asarray(similarity, dtype=np.float32)


def softmax_probability(
    similarity: Floats, background_similarity: Floats, temperature: float
) -> NDArray[np.float32]:
    """Return the share of the query in a softmax over the query and its background.

    ``p = exp(s / T) / (exp(s / T) + sum_i exp(b_i / T))``, computed as the logistic function of
    ``s / T - logsumexp(b / T)``, which neither overflows nor cancels.

    Args:
        similarity: Similarity to the query, shape (...,).
        background_similarity: Similarity to the background vocabulary, shape (..., n).
        temperature: Above 0.

    Returns:
        Probabilities in [0, 1], shape (...,); NaN where an input is NaN.

    Raises:
        ValueError: For a temperature that is not above 0, or other shapes.
        QueryError: For an empty background, against which everything would be certain.
    """
    if not temperature > 0:
        raise ValueError(f"temperature {temperature} is not above 0")
    if background_similarity.shape[:-1] != similarity.shape:
        raise ValueError(
            f"similarity of shape {similarity.shape} and background of shape "
            f"{background_similarity.shape}: expected (...,) and (..., n)"
        )
    if background_similarity.shape[-1] == 0:
        raise QueryError(
            "no background is left to compare the query with",
            remedy="allow nearer synonyms in the background, or give a larger vocabulary",
        )
    scale = np.float32(1.0 / temperature)
    background = np.asarray(background_similarity, dtype=np.float32) * scale
    peak = background.max(axis=-1, keepdims=True)
    background -= peak
    np.exp(background, out=background)
    log_sum = np.log(background.sum(axis=-1)) + peak[..., 0]
    return _logistic(np.asarray(similarity, dtype=np.float32) * scale - log_sum)


def drop_near_synonyms(query: Floats, background: Floats, max_cosine: float) -> NDArray[np.bool_]:
    """Return which entries of the background to keep for a query.

    An entry whose cosine with the query is `max_cosine` or more means nearly the same; were it
    kept, it would take its share of the probability where the query fits best.

    Args:
        query: Shape (dim,), any length above 0.
        background: Shape (n, dim).
        max_cosine: In (-1, 1]; entries at or above it are dropped.

    Returns:
        Shape (n,), True for entries to keep.
    """
    a = np.asarray(query, dtype=np.float64)
    b = np.asarray(background, dtype=np.float64)
    lengths = np.linalg.norm(b, axis=1) * np.linalg.norm(a)
    cosine = (b @ a) / np.where(lengths > 0, lengths, 1.0)
    return np.asarray(cosine < max_cosine)


def score_concepts(
    values: Floats,
    queries: Floats,
    background: Floats,
    keep: NDArray[np.bool_],
    method: ProbabilityMethod,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return probability and similarity of several queries that share a vocabulary.

    The similarities to the vocabulary, most of the work, are computed once for all queries.

    Args:
        values: Embeddings, shape (..., dim); NaN for no data.
        queries: Unit vectors, shape (q, dim).
        background: Unit vectors of the whole vocabulary, shape (n, dim).
        keep: Which entries count for which query, shape (q, n), see `drop_near_synonyms`.
        method: How similarities become probabilities.

    Returns:
        Probability and similarity, each of shape (q, ...).

    Raises:
        QueryError: For a query without background where the method needs one.
    """
    count, n = keep.shape
    if queries.shape[0] != count or background.shape[0] != n:
        raise ValueError(
            f"keep of shape {keep.shape} for {len(queries)} queries and {len(background)} entries"
        )
    stacked: NDArray[Any] = np.concatenate([queries, background]).astype(np.float32)
    cells = values.shape[:-1]
    probability = np.empty((count, *cells), dtype=np.float32)
    similar = np.empty((count, *cells), dtype=np.float32)
    flat_p, flat_s = probability.reshape(count, -1), similar.reshape(count, -1)
    everything = keep.all(axis=1)
    for rows, block in similarity_rows(values, stacked, width=3 * n):
        for i in range(count):
            against = block[:, count:] if everything[i] else block[:, count:][:, keep[i]]
            flat_s[i, rows] = block[:, i]
            flat_p[i, rows] = method(block[:, i], against)
    return probability, similar


def _logistic(x: NDArray[np.float32]) -> NDArray[np.float32]:
    # exp of minus the magnitude only, so that it cannot overflow.
    e: NDArray[np.float32] = np.exp(-np.abs(x))
    one = np.float32(1.0)
    return np.asarray(np.where(x >= 0, one, e) / (one + e), dtype=np.float32)
