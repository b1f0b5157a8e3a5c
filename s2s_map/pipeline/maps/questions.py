"""Questions: encoded queries, what they are compared with, and what each layer says of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.load import whole_kind
from s2s_map.config.model import ModelCard
from s2s_map.config.run import ProbabilityConfig, QueryConfig
from s2s_map.encoding.queries import QueryEmbedding, encode_queries, encode_query
from s2s_map.encoding.query_check import QueryCheck, check_queries
from s2s_map.encoding.query_model import QueryKind, QueryModel
from s2s_map.encoding.vocabulary import Vocabulary, encode_vocabulary
from s2s_map.errors import QueryError
from s2s_map.plugins.kinds import PROBABILITY
from s2s_map.plugins.registry import brought_by
from s2s_map.scoring.methods import make_method, needs_background
from s2s_map.scoring.probability import ProbabilityMethod, drop_near_synonyms


@dataclass(frozen=True, eq=False)
class QuestionGroup:
    """Queries of one kind, which share a background vocabulary.

    Attributes:
        queries: The queries.
        vectors: Their unit vectors, shape (q, dim).
        background: Unit vectors of the vocabulary, shape (n, dim).
        keep: Which entries of it count for which query, shape (q, n).
        method: What makes probabilities of similarities.
    """

    queries: tuple[QueryEmbedding, ...]
    vectors: NDArray[np.float32]
    background: NDArray[np.float32]
    keep: NDArray[np.bool_]
    method: ProbabilityMethod

    def part(self, which: slice) -> QuestionGroup:
        """Return some of the queries."""
        return QuestionGroup(
            self.queries[which],
            self.vectors[which],
            self.background,
            self.keep[which],
            self.method,
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
        checks: What is to be said of each query, by name.
        also: Others, of other names, which may be asked with other settings.
    """

    queries: tuple[QueryEmbedding, ...]
    vocabularies: dict[QueryKind, Vocabulary]
    settings: ProbabilityConfig
    temperature: float
    temperature_source: str
    checks: Mapping[str, QueryCheck] = field(default_factory=dict)
    also: tuple[Questions, ...] = ()

    def by_name(self) -> dict[str, tuple[Questions, QueryEmbedding]]:
        """Return all queries by name, each with the questions that it belongs to."""
        found = {query.name: (self, query) for query in self.queries}
        for other in self.also:
            found |= other.by_name()
        return found

    def of_kind(self, kind: QueryKind) -> list[QueryEmbedding]:
        """Return the queries of a kind."""
        return [query for query in self.queries if query.kind == kind]

    def method(self) -> ProbabilityMethod:
        """Return the method that makes probabilities."""
        return make_method(self.settings, self.temperature)

    def keep(self, query: QueryEmbedding) -> NDArray[np.bool_]:
        """Return which entries of its vocabulary count for a query."""
        vectors = self.vocabularies[query.kind].vectors
        return drop_near_synonyms(query.vector, vectors, self.settings.max_cosine)

    def groups(self) -> list[QuestionGroup]:
        """Return all queries by kind and settings."""
        own = [
            QuestionGroup(
                tuple(queries),
                np.stack([query.vector for query in queries]),
                self.vocabularies[kind].vectors,
                np.stack([self.keep(query) for query in queries]),
                self.method(),
            )
            for kind in self.vocabularies
            if (queries := self.of_kind(kind))
        ]
        return [*own, *(group for other in self.also for group in other.groups())]

    def identity(self, query: QueryEmbedding) -> dict[str, Any]:
        """Return what decides the cells of a query's layer, beside the embeddings."""
        vector = hashlib.sha256(np.ascontiguousarray(query.vector).tobytes()).hexdigest()
        return {**self._asked(query), "title": query.title, "vector_sha256": vector}

    def describe(self, query: QueryEmbedding) -> dict[str, Any]:
        """Return what a layer says of its query, method, and how well it is understood."""
        check = self.checks.get(query.name)
        return self._asked(query) | ({} if check is None else {"understood": check.as_dict()})

    def say(self, note: Callable[[str], None], *, strict: bool = False) -> None:
        """Say how well each query is understood.

        Args:
            note: Called with every line.
            strict: Whether what speaks against a map is an error.

        Raises:
            QueryError: If `strict` and anything does.
        """
        for check in self.checks.values():
            for line in check.lines():
                note(line)
        doubts = [f"{c.name}: {line}" for c in self.checks.values() for line in c.warnings]
        if strict and doubts:
            more = f" (and {len(doubts) - 1} more)" if len(doubts) > 1 else ""
            raise QueryError(
                f"{doubts[0]}{more}", remedy="change the question, or leave out --strict"
            )

    def _asked(self, query: QueryEmbedding) -> dict[str, Any]:
        about: dict[str, Any] = {
            "name": query.name,
            "kind": query.kind,
            **query.describe(),
            "method": self.method().name,
        }
        asked = self.settings.method
        if asked not in PROBABILITY.built_in:
            about["settings"] = self.settings.model_dump(mode="json")
            about |= brought_by(PROBABILITY, asked)
            if needs_background(self.settings):
                about["background"] = self._background(query)
        elif needs_background(self.settings):
            about[asked] = {
                "temperature": self.temperature,
                "temperature_source": self.temperature_source,
                **self._background(query),
                "calibrated": False,
            }
        return about

    def _background(self, query: QueryEmbedding) -> dict[str, Any]:
        vocabulary, keep = self.vocabularies[query.kind], self.keep(query)
        return {
            "vocabulary": f"background of kind {vocabulary.kind}",
            "vocabulary_sha256": vocabulary.sha256,
            "vocabulary_size": len(vocabulary.names),
            "max_cosine": self.settings.max_cosine,
            "near_synonyms_dropped": [
                name for name, kept in zip(vocabulary.names, keep, strict=True) if not kept
            ],
        }


def encode_questions(
    model: QueryModel,
    card: ModelCard,
    queries: Sequence[QueryConfig],
    settings: ProbabilityConfig,
    cache: Path | None = None,
    known: Mapping[str, Any] | None = None,
) -> Questions:
    """Encode queries and the vocabularies they need, and judge how well they are understood.

    Args:
        model: What encodes them.
        card: Its card.
        queries: The queries.
        settings: How similarities become probabilities.
        cache: Where vectors are kept for the next time; None: nowhere.
        known: Layers that are there already, as ``run.json`` lists them.

    Raises:
        QueryError: For a query that cannot be asked, or two of one name.
    """
    settings = whole_kind(settings)
    encoded = tuple(encode_queries(model, queries, cache))
    kinds = {query.kind for query in encoded}
    given = settings.temperature
    return Questions(
        queries=encoded,
        vocabularies={
            kind: encode_vocabulary(model, kind, cache)
            # A similarity is measured against nothing, and not every model has a background.
            if needs_background(settings)
            else Vocabulary(kind, (), np.zeros((0, model.dim), dtype=np.float32), "")
            for kind in sorted(kinds)
        },
        settings=settings,
        temperature=card.softmax.temperature if given is None else given,
        temperature_source=card.softmax.source if given is None else "the run config",
        checks={
            check.name: check
            for check in check_queries(model, encoded, _encoded(model, known or {}, cache), cache)
        },
    )


def described_query(name: str, about: Mapping[str, Any]) -> QueryConfig | None:
    """Return the question of a layer, from what its maps say of it; None if they do not.

    Args:
        name: Name of the layer.
        about: What `ConceptLayer` keeps of it, see ``run.json``.
    """
    query = about.get("query", {})
    parts = query.get("parts", [query])
    texts = [part["text"] for part in parts if "text" in part and not part.get("minus")]
    audio = [part["audio"] for part in parts if "audio" in part]
    if not (texts or audio):
        return None
    return QueryConfig(
        name=name,
        text=texts[0] if len(texts) == 1 else None,
        texts=tuple(texts) if len(texts) > 1 else (),
        audio=audio[0] if audio else None,
        minus=tuple(part["text"] for part in parts if part.get("minus")),
    )


def _encoded(
    model: QueryModel, known: Mapping[str, Any], cache: Path | None
) -> list[QueryEmbedding]:
    """Encode the questions of layers again; those with recordings, which may be gone, are left."""
    described = [described_query(name, about) for name, about in known.items()]
    return [
        encode_query(model, query, cache)
        for query in described
        if query is not None and query.audio is None
    ]
