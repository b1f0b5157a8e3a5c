"""What is to be said of a query before a map is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.encoding.queries import QueryEmbedding
from s2s_map.encoding.query_model import QueryModel
from s2s_map.encoding.understood import Understood, judge_texts
from s2s_map.encoding.wording import negated, other_language

ALIKE = 0.97
"""Queries of a higher cosine give maps that hardly differ."""

_HEARD = 0.05
"""Events below this weight are not named."""


@dataclass(frozen=True)
class QueryCheck:
    """How far a query can be trusted, as far as the query itself shows it.

    Attributes:
        name: Of the query.
        texts: How well each of its texts is understood.
        warnings: What speaks against its map, a line each.
        heard: What was heard in its recordings, a line each.
    """

    name: str
    texts: tuple[Understood, ...]
    warnings: tuple[str, ...]
    heard: tuple[str, ...] = ()

    @property
    def level(self) -> str | None:
        """How well the least understood text is; None without a text."""
        order = ("understood", "unfamiliar", "not understood")
        return max((one.level for one in self.texts), key=order.index, default=None)

    def lines(self) -> list[str]:
        """Return all of it for people, a line each."""
        said = [str(one) for one in self.texts if one.level == "understood"]
        return [f"{self.name}: {line}" for line in (*said, *self.heard, *self.warnings)]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it, for run.json and whatever shows the layer."""
        about: dict[str, Any] = {"warnings": list(self.warnings)}
        if self.texts:
            about["level"] = self.level
            about["texts"] = [one.as_dict() for one in self.texts]
        return about | ({"heard": list(self.heard)} if self.heard else {})


def check_queries(
    model: QueryModel,
    queries: Sequence[QueryEmbedding],
    others: Sequence[QueryEmbedding] = (),
    cache_dir: Path | None = None,
) -> list[QueryCheck]:
    """Say of every query how well it is understood and what speaks against its map.

    Args:
        model: What embedded them.
        queries: The queries.
        others: Of layers that are there already, to name near-duplicates.
        cache_dir: Where vectors are kept for the next time; None: nowhere.
    """
    texts = [part.content for query in queries for part in query.parts if part.kind == "text"]
    # At once: what they are held against is read, and where nothing is kept embedded, only once.
    every = iter(judge_texts(model, texts, cache_dir))
    found = []
    for i, query in enumerate(queries):
        judged = [next(every) for part in query.parts if part.kind == "text"]
        warnings = [line for one in judged for line in _doubts(one)]
        asked = [part.content for part in query.parts if part.kind == "text" and not part.minus]
        warnings += [line for text in asked if (line := negation_advice(text))]
        heard = [_heard(part.content, part.details) for part in query.parts if part.details]
        warnings += [line for part in query.parts if (line := _unheard(part.content, part.details))]
        before = [*(one for one in others if one.name != query.name), *queries[:i]]
        warnings += [_alike(one) for one in before if _cosine(one.vector, query.vector) >= ALIKE]
        found.append(QueryCheck(query.name, tuple(judged), tuple(warnings), tuple(heard)))
    return found


def negation_advice(text: str) -> str | None:
    """Return what to do about a text with a negation; None: it has none."""
    found = negated(text)
    if found is None:
        return None
    before, what = found
    asked = f'"{before}"' if before else "what is to be heard there"
    return (
        f'"{text}" is heard much as "{what}" itself, since the model does not know negation: '
        f'ask {asked} with --minus "{what}" (minus: in a config)'
    )


def _doubts(one: Understood) -> list[str]:
    if one.level == "understood":
        return []
    language = other_language(one.text)
    if language is None:
        return [str(one)]
    return [f"{one} (it looks like {language}; the model knows English only)"]


def _heard(name: str, details: dict[str, Any]) -> str:
    weights = details.get("weight", {})
    loudest = sorted(weights.items(), key=lambda item: -item[1])
    shown = [f"{event} {weight:.0%}" for event, weight in loudest if weight >= _HEARD]
    length = f"{details['seconds']:g} s" if "seconds" in details else "all of it"
    if "scaled_from" in details:
        length += f", samples up to {details['scaled_from']:g} taken as 16-bit numbers"
    return f"heard in {name} ({length}): {', '.join(shown)}" if shown else f"heard {name}, {length}"


def _unheard(name: str, details: dict[str, Any]) -> str | None:
    if details.get("stands_out", True):
        return None
    return (
        f"nothing in {name} stands out from noise: the model does not know what it hears, and its "
        "map means little: use a clearer recording, or ask with a text"
    )


def _alike(other: QueryEmbedding) -> str:
    return f'nearly the same to the model as {other.name} ("{other.title}"): the maps hardly differ'


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(a @ b)
