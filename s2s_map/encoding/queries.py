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

from s2s_map.encoding.audio_file import Recording, read_recording
from s2s_map.encoding.query_model import QueryKind, QueryModel, encoder_key
from s2s_map.encoding.vector_cache import cache_key, load_cached, store_cached
from s2s_map.errors import QueryError

LONGEST_NAME = 48
RESERVED_NAMES = frozenset({"imagery"})
"""Names of files with the endings of a concept's files that a run writes anyway."""


class Query(Protocol):
    """What is asked; exactly one of text and audio."""

    @property
    def name(self) -> str | None:
        """Short name of the concept; None: made from the content."""
        ...

    @property
    def text(self) -> str | None:
        """What the sound is like, in words."""
        ...

    @property
    def audio(self) -> str | None:
        """Path of a recording, or "sample:NAME"."""
        ...


@dataclass(frozen=True, eq=False)
class QueryEmbedding:
    """A query in the model's embedding space.

    Attributes:
        name: Safe for a file name: a to z, 0 to 9 and hyphens, at most 48 of them.
        title: One line for people.
        kind: "text" or "audio".
        vector: Unit vector (dim,).
        content: The text, or the recording's file name.
        sha256: Hash of the text (UTF-8) or of the file's bytes, hexadecimal.
        details: More about it, JSON-ready; for a recording what was heard in it.
    """

    name: str
    title: str
    kind: QueryKind
    vector: NDArray[np.float32]
    content: str
    sha256: str
    details: dict[str, Any] = field(default_factory=dict)


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
        query: A text or a recording.
        cache_dir: Where vectors are kept for the next time, by content and model; None: nowhere.

    Raises:
        QueryError: For an empty text, or not exactly one of text and audio, or a reserved name.
        AudioError: For a recording that is not usable.
    """
    name = query_name(query)
    text, recording = _content(query)
    if recording is not None:
        kind: QueryKind = "audio"
        content, sha256 = recording.name, recording.sha256
        title = f"recording {content}"
    else:
        kind, content, sha256, title = "text", text, _sha256(text), text
    key = cache_key(kind, sha256, encoder_key(model, kind))
    cached = load_cached(cache_dir, key, model.dim)
    if cached is None:
        cached = _embed(model, text, recording)
        store_cached(cache_dir, key, *cached)
    return QueryEmbedding(name, title, kind, cached[0], content, sha256, cached[1])


def query_name(query: Query) -> str:
    """The name of a query, safe for a file: from its name, else from its text or file.

    Raises:
        QueryError: For an empty query or a reserved name.
    """
    content = _check(query)
    stem = Path(content.removeprefix("sample:")).stem if query.audio is not None else content
    name = safe_name(query.name or "") or safe_name(stem) or f"query-{_sha256(content)[:8]}"
    if name in RESERVED_NAMES:
        raise QueryError(
            f"a query named {name!r}, which a file of every run is called",
            remedy="give it another name:",
        )
    return name


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


def _check(query: Query) -> str:
    if (query.text is None) == (query.audio is None):
        given = "neither text nor audio" if query.text is None else "both text and audio"
        raise QueryError(f"a query with {given}", expected="exactly one of them")
    content = query.text if query.text is not None else query.audio
    if content is None or not content.strip():
        what = "text" if query.text is not None else "audio path"
        raise QueryError(
            f"a query with an empty {what}",
            expected="words that describe a sound" if what == "text" else "the path of a recording",
        )
    return content


def _content(query: Query) -> tuple[str, Recording | None]:
    content = _check(query)
    if query.audio is not None:
        return "", read_recording(content.strip())
    return " ".join(content.split()), None


def _embed(
    model: QueryModel, text: str, recording: Recording | None
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    if recording is None:
        vector, details = model.embed_text(text), {}
    else:
        embedded = model.embed_recording(recording.waveform, recording.rate)
        vector, details = embedded.vector, dict(embedded.details)
    length = float(np.linalg.norm(vector))
    if vector.shape != (model.dim,) or not np.isfinite(length) or length == 0:
        raise QueryError(
            f"the model gave a vector of shape {vector.shape} and length {length:.3g}",
            expected=f"({model.dim},) and a length above 0",
        )
    return np.asarray(vector / length, dtype=np.float32), details


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
