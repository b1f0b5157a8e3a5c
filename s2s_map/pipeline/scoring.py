"""Asking a store: every block against every query, and what each layer says of its making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.model import ModelCard
from s2s_map.config.run import ProbabilityConfig, QueryConfig
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.encoding.queries import QueryEmbedding, encode_queries
from s2s_map.encoding.query_model import QueryKind, QueryModel
from s2s_map.encoding.vocabulary import Vocabulary, encode_vocabulary
from s2s_map.pipeline.progress import Reporter
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.scoring.probability import (
    ProbabilityMethod,
    SimilarityMethod,
    SoftmaxMethod,
    drop_near_synonyms,
    score_concepts,
)


@dataclass(frozen=True, eq=False)
class Questions:
    """Encoded queries and what they are compared with.

    Attributes:
        queries: The queries, with distinct names.
        vocabularies: The background of each kind of query asked.
        settings: How similarities become probabilities.
        temperature: Of the softmax.
        temperature_source: Where the temperature comes from.
    """

    queries: tuple[QueryEmbedding, ...]
    vocabularies: dict[QueryKind, Vocabulary]
    settings: ProbabilityConfig
    temperature: float
    temperature_source: str

    def of_kind(self, kind: QueryKind) -> list[QueryEmbedding]:
        """Return the queries of a kind."""
        return [query for query in self.queries if query.kind == kind]

    def method(self) -> ProbabilityMethod:
        """Return the method that makes probabilities."""
        if self.settings.method == "similarity":
            return SimilarityMethod()
        return SoftmaxMethod(self.temperature)

    def keep(self, query: QueryEmbedding) -> NDArray[np.bool_]:
        """Return which entries of its vocabulary count for a query."""
        vectors = self.vocabularies[query.kind].vectors
        return drop_near_synonyms(query.vector, vectors, self.settings.max_cosine)

    def describe(self, query: QueryEmbedding) -> dict[str, Any]:
        """Return what a layer says of its query and method."""
        method = self.method()
        about: dict[str, Any] = {
            "name": query.name,
            "kind": query.kind,
            **query.describe(),
            "method": method.name,
        }
        if method.name == "softmax":
            vocabulary, keep = self.vocabularies[query.kind], self.keep(query)
            about["softmax"] = {
                "temperature": self.temperature,
                "temperature_source": self.temperature_source,
                "vocabulary": f"background of kind {vocabulary.kind}",
                "vocabulary_sha256": vocabulary.sha256,
                "vocabulary_size": len(vocabulary.names),
                "max_cosine": self.settings.max_cosine,
                "near_synonyms_dropped": [
                    name for name, kept in zip(vocabulary.names, keep, strict=True) if not kept
                ],
                "calibrated": False,
            }
        return about


def encode_questions(
    model: QueryModel,
    card: ModelCard,
    queries: Sequence[QueryConfig],
    settings: ProbabilityConfig,
    cache: Path | None = None,
) -> Questions:
    """Encode queries and the vocabularies they need.

    Raises:
        QueryError: For a query that cannot be asked, or two of one name.
    """
    encoded = tuple(encode_queries(model, queries, cache))
    kinds = {query.kind for query in encoded}
    given = settings.temperature
    return Questions(
        queries=encoded,
        vocabularies={kind: encode_vocabulary(model, kind, cache) for kind in sorted(kinds)},
        settings=settings,
        temperature=card.softmax.temperature if given is None else given,
        temperature_source=card.softmax.source if given is None else "the run config",
    )


def score_store(
    store: EmbeddingsStore, questions: Questions, reporter: Reporter
) -> list[ConceptLayer]:
    """Ask all questions of every block of a store.

    Returns:
        A layer per query, in order, with the store's time slots.
    """
    blocks = store.grid.blocks()
    shape = (len(store.time_slots), *store.grid.shape)
    probability = {q.name: np.full(shape, np.nan, np.float32) for q in questions.queries}
    similarity = {q.name: np.full(shape, np.nan, np.float32) for q in questions.queries}
    reporter.start("Scoring", len(blocks), "blocks")
    groups = [
        (
            queries,
            questions.vocabularies[kind].vectors,
            np.stack([questions.keep(q) for q in queries]),
        )
        for kind in questions.vocabularies
        if (queries := questions.of_kind(kind))
    ]
    for block in blocks:
        values = store.read_block(block)
        for queries, background, keep in groups:
            vectors = np.stack([query.vector for query in queries])
            p, s = score_concepts(values, vectors, background, keep, questions.method())
            for i, query in enumerate(queries):
                probability[query.name][:, block.y, block.x] = p[i]
                similarity[query.name][:, block.y, block.x] = s[i]
        reporter.advance(1)
    reporter.finish()
    return [
        ConceptLayer(
            query.name,
            query.title,
            questions.describe(query),
            probability[query.name],
            similarity[query.name],
            questions.method().label,
        )
        for query in questions.queries
    ]
