"""Queries, texts or recordings, as unit vectors with a name that is safe for a file."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from s2s_map.encoding.audio_file import Recording, read_recording, recording_sha256
from s2s_map.encoding.query_model import QueryKind, QueryModel, encoder_key
from s2s_map.encoding.vector_cache import cache_key, load_cached, store_cached
from s2s_map.errors import QueryError

LONGEST_NAME = 48
COMPOSITION = "unit(unit(mean of unit vectors) - unit(mean of unit vectors taken off))"
SHORTEST = 0.1
"""A composition whose vector is shorter is refused: its parts cancel out."""

RESERVED_NAMES = frozenset({"imagery"})
"""Names of files with the endings of a concept's files that a run writes anyway."""


class Query(Protocol):
    """What is asked: texts, a recording, or both, and what is taken off again."""

    @property
    def name(self) -> str | None:
        """Short name of the concept; None: made from the content."""
        ...

    @property
    def text(self) -> str | None:
        """What the sound is like, in words."""
        ...

    @property
    def texts(self) -> Sequence[str]:
        """Further texts."""
        ...

    @property
    def audio(self) -> str | None:
        """Path of a recording, or "sample:NAME"."""
        ...

    @property
    def minus(self) -> Sequence[str]:
        """Texts taken off."""
        ...


@dataclass(frozen=True)
class QueryPart:
    """One text or recording of a query.

    Attributes:
        kind: "text" or "audio".
        content: The text, or the recording's file name.
        sha256: Hash of the text (UTF-8) or of the file's bytes, hexadecimal.
        minus: Whether it is taken off.
        details: More about it, JSON-ready; for a recording what was heard in it.
    """

    kind: QueryKind
    content: str
    sha256: str
    minus: bool = False
    details: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        about: dict[str, Any] = {self.kind: self.content, "sha256": self.sha256}
        if self.minus:
            about["minus"] = True
        return {**about, "details": self.details} if self.details else about


@dataclass(frozen=True, eq=False)
class QueryEmbedding:
    """A query in the model's embedding space.

    Attributes:
        name: Safe for a file name: a to z, 0 to 9 and hyphens, at most 48 of them.
        title: One line for people.
        kind: Of the background it is compared with: "text" if it has a text that is not taken
            off, else "audio".
        vector: Unit vector (dim,).
        parts: What it consists of.
    """

    name: str
    title: str
    kind: QueryKind
    vector: NDArray[np.float32]
    parts: tuple[QueryPart, ...]

    def describe(self) -> dict[str, Any]:
        """Return what was asked, as JSON can hold it: the part itself, or all `parts`."""
        if len(self.parts) == 1:
            return self.parts[0].describe()
        return {"parts": [part.describe() for part in self.parts], "composition": COMPOSITION}


def encode_queries(
    model: QueryModel, queries: Sequence[Query], cache_dir: Path | None = None
) -> list[QueryEmbedding]:
    """Embed queries, after checking that no two share a name.

    Args:
        model: What embeds them.
        queries: In the order of the result.
        cache_dir: Where vectors are kept for the next time; None: nowhere.

    Raises:
        QueryError: For none, two of one name, or one that cannot be asked.
        AudioError: For a recording that is not usable.
    """
    if not queries:
        raise QueryError("no queries", remedy="give at least one text or recording")
    check_names([query_name(query) for query in queries])
    return [encode_query(model, query, cache_dir) for query in queries]


def encode_query(model: QueryModel, query: Query, cache_dir: Path | None = None) -> QueryEmbedding:
    """Embed a query.

    Args:
        model: What embeds it.
        query: Texts, a recording, or both, and what is taken off.
        cache_dir: Where vectors are kept for the next time, by content and model; None: nowhere.

    Raises:
        QueryError: For an empty part, nothing to listen for, parts that cancel out, or a reserved
            name.
        AudioError: For a recording that is not usable.
    """
    name = query_name(query)
    stated = _stated(query)
    embedded = [_embed_part(model, part, cache_dir) for part in stated]
    parts = tuple(part for part, _ in embedded)
    kinds = {part.kind for part in parts if not part.minus}
    return QueryEmbedding(
        name,
        _title(parts),
        "text" if "text" in kinds else "audio",
        compose(
            [vector for part, vector in embedded if not part.minus],
            [vector for part, vector in embedded if part.minus],
        ),
        parts,
    )


def compose(
    plus: Sequence[NDArray[np.float32]], minus: Sequence[NDArray[np.float32]] = ()
) -> NDArray[np.float32]:
    """Compose unit vectors (dim,) into one.

    ``unit(unit(mean(plus)) - unit(mean(minus)))``: all parts count the same, whatever their kind,
    and what is taken off counts as much as what is asked for.

    Args:
        plus: At least one.
        minus: What is taken off.

    Raises:
        QueryError: If the parts cancel out: at any step less than 0.1 is left.
    """
    vector = _mean(plus)
    return _unit(vector - _mean(minus), "what is left after minus:") if minus else vector


def _mean(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    if len(vectors) == 1:
        return vectors[0]
    return _unit(np.mean(vectors, axis=0, dtype=np.float64), "the mean of the parts")


def _unit(vector: NDArray[Any], what: str) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    if length < SHORTEST:
        raise QueryError(
            f"a query whose parts cancel out ({what} has length {length:.2g})",
            expected=f"at least {SHORTEST}",
            remedy="ask with parts that sound less alike to the model",
        )
    return np.asarray(vector / length, dtype=np.float32)


def query_name(query: Query) -> str:
    """The name of a query, safe for a file: from its name, else from its texts or file.

    Raises:
        QueryError: For an empty query or a reserved name.
    """
    stated = _stated(query)
    content = " ".join(
        ("minus " if part.minus and not (i and stated[i - 1].minus) else "") + part.stem
        for i, part in enumerate(stated)
    )
    name = safe_name(query.name or "") or safe_name(content) or f"query-{_sha256(content)[:8]}"
    if name in RESERVED_NAMES:
        raise QueryError(
            f"a query named {name!r}, which a file of every run is called",
            remedy="give it another name:",
        )
    return name


def content_hashes(query: Query) -> list[str]:
    """Return the hash of every part of a query as `QueryPart.sha256`, without a model.

    Raises:
        QueryError: For an empty query.
        AudioError: For a recording that is missing.
    """
    return [
        recording_sha256(part.given) if part.kind == "audio" else _sha256(part.given)
        for part in _stated(query)
    ]


def safe_name(text: str) -> str:
    """Turn a text into a to z, 0 to 9 and hyphens, at most 48, cut between words if it can be.

    Empty if nothing of the text can be written so.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if len(slug) <= LONGEST_NAME:
        return slug
    whole_words = slug[: LONGEST_NAME + 1].rpartition("-")[0]
    return whole_words or slug[:LONGEST_NAME]


def check_names(names: Sequence[str]) -> None:
    """Refuse a list of names with one in it twice.

    Raises:
        QueryError: It names the first such name.
    """
    for i, name in enumerate(names):
        if name in names[:i]:
            raise QueryError(
                f"two queries named {name!r}",
                remedy="give one of them another name:, since each writes files of its name",
            )


@dataclass(frozen=True)
class _Stated:
    """A part as it was given."""

    kind: QueryKind
    given: str
    minus: bool = False

    @property
    def stem(self) -> str:
        """What a name is made from."""
        return Path(self.given.removeprefix("sample:")).stem if self.kind == "audio" else self.given


def _stated(query: Query) -> list[_Stated]:
    texts = [*([] if query.text is None else [query.text]), *query.texts]
    found = [_Stated("text", " ".join(text.split())) for text in texts]
    if query.audio is not None:
        found.append(_Stated("audio", query.audio.strip()))
    if not found:
        raise QueryError("a query with neither text nor audio", expected="something to listen for")
    found += [_Stated("text", " ".join(text.split()), minus=True) for text in query.minus]
    for part in found:
        if not part.given:
            what = "text" if part.kind == "text" else "audio path"
            raise QueryError(
                f"a query with an empty {what}",
                expected="words that describe a sound"
                if part.kind == "text"
                else "the path of a recording",
            )
    return found


def _embed_part(
    model: QueryModel, stated: _Stated, cache_dir: Path | None
) -> tuple[QueryPart, NDArray[np.float32]]:
    recording = read_recording(stated.given) if stated.kind == "audio" else None
    content = stated.given if recording is None else recording.name
    sha256 = _sha256(content) if recording is None else recording.sha256
    key = cache_key(stated.kind, sha256, encoder_key(model, stated.kind))
    cached = load_cached(cache_dir, key, model.dim)
    if cached is None:
        cached = _embed(model, stated.given, recording)
        store_cached(cache_dir, key, *cached)
    return QueryPart(stated.kind, content, sha256, stated.minus, cached[1]), cached[0]


def _title(parts: Sequence[QueryPart]) -> str:
    shown = [part.content if part.kind == "text" else f"recording {part.content}" for part in parts]
    title = shown[0]
    for part, text in zip(parts[1:], shown[1:], strict=True):
        title += f" − {text}" if part.minus else f" + {text}"
    return title


def _embed(
    model: QueryModel, text: str, recording: Recording | None
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    if recording is None:
        vector, details = model.embed_text(text), {}
    else:
        embedded = model.embed_recording(recording.waveform, recording.rate)
        vector, details = embedded.vector, dict(embedded.details)
        if recording.scaled_from is not None:
            details["scaled_from"] = round(recording.scaled_from, 3)
    length = float(np.linalg.norm(vector))
    if vector.shape != (model.dim,) or not np.isfinite(length) or length == 0:
        raise QueryError(
            f"the model gave a vector of shape {vector.shape} and length {length:.3g}",
            expected=f"({model.dim},) and a length above 0",
        )
    return np.asarray(vector / length, dtype=np.float32), details


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
