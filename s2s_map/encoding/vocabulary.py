"""The background vocabularies that a query's probability is measured against."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from s2s_map.encoding.query_model import EventMixer, QueryKind, QueryModel, encoder_key
from s2s_map.encoding.vector_cache import cache_key, load_cached, store_cached
from s2s_map.errors import ModelError

TEXT_FILE = "background_text.txt"
AUDIO_FILE = "background_audio.yaml"


@dataclass(frozen=True)
class VocabularyList:
    """A stated list of soundscapes.

    Attributes:
        kind: Of the queries it is for.
        names: One per soundscape: the text itself, or the events of a mix joined by " + ".
        mixes: For "audio" the weight of each event in each mix; for "text" empty.
        sha256: Hash of the names, one a line (UTF-8), hexadecimal.
    """

    kind: QueryKind
    names: tuple[str, ...]
    mixes: tuple[Mapping[str, float], ...]
    sha256: str


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A background vocabulary in a model's embedding space.

    Attributes:
        kind: Of the queries it is for.
        names: One per soundscape.
        vectors: Unit vectors (n, dim).
        sha256: Hash of the names, hexadecimal.
    """

    kind: QueryKind
    names: tuple[str, ...]
    vectors: NDArray[np.float32]
    sha256: str


def load_vocabulary(kind: QueryKind) -> VocabularyList:
    """Read the background vocabulary of a kind that comes with the package."""
    folder = files("s2s_map.encoding") / "data"
    if kind == "text":
        lines = (folder / TEXT_FILE).read_text(encoding="utf-8").splitlines()
        names = tuple(
            line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")
        )
        return VocabularyList(kind, names, (), _sha256(names))
    rows = yaml.safe_load((folder / AUDIO_FILE).read_text(encoding="utf-8"))["mixes"]
    names = tuple(" + ".join(row) for row in rows)
    mixes = tuple({event: 1 / len(row) for event in row} for row in rows)
    return VocabularyList(kind, names, mixes, _sha256(names))


def encode_vocabulary(
    model: QueryModel, kind: QueryKind, cache_dir: Path | None = None
) -> Vocabulary:
    """Embed the background vocabulary of a kind.

    Args:
        model: What embeds it.
        kind: "text": descriptions of soundscapes; "audio": mixes of sound events.
        cache_dir: Where vectors are kept for the next time; None: nowhere.

    Raises:
        ModelError: For "audio", if the model does not hear recordings as sound events.
    """
    stated = load_vocabulary(kind)
    key = cache_key("vocabulary", kind, stated.sha256, encoder_key(model, kind))
    cached = load_cached(cache_dir, key, model.dim)
    if cached is None or len(cached[0]) != len(stated.names):
        vectors = _embed(model, stated)
        store_cached(cache_dir, key, vectors, {})
    else:
        vectors = cached[0]
    return Vocabulary(kind, stated.names, vectors, stated.sha256)


def _embed(model: QueryModel, stated: VocabularyList) -> NDArray[np.float32]:
    if stated.kind == "text":
        rows = [model.embed_text(name) for name in stated.names]
    else:
        encoder = model.audio_encoder
        if not isinstance(encoder, EventMixer):
            raise ModelError(
                "a model without sound events has no background vocabulary for recordings",
                remedy="set probability: {method: similarity}, or ask with a text",
            )
        rows = [encoder.mix(mix) for mix in stated.mixes]
    vectors = np.array(rows, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _sha256(names: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
