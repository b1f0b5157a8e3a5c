"""Embedded queries and vocabularies on disk, so that asking again does not embed again."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from s2s_map.atomic import written_beside
from s2s_map.config.cache_folder import cache_folder

Cached = tuple[NDArray[np.float32], dict[str, Any]]

FORMAT = "1"
"""Raise it whenever the same content and model should give other vectors."""


def vectors_folder() -> Path:
    """The folder where embedded queries and vocabularies are kept between runs.

    It may be deleted at any time.
    """
    return cache_folder("vectors")


def cache_key(*parts: str) -> str:
    """A file name for what the parts say together."""
    return hashlib.sha256("\n".join((FORMAT, *parts)).encode()).hexdigest()[:40]


def load_cached(folder: Path | None, key: str, dim: int | None = None) -> Cached | None:
    """Load vectors (..., dim) and their details; None if there are none, or damaged ones.

    Args:
        folder: The cache; None: there is no cache.
        key: From `cache_key`.
        dim: Numbers per vector; None: as many as there are.
    """
    if folder is None:
        return None
    try:
        # Opened here: np.load leaves a damaged file open.
        path = folder / f"{key}.npz"
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            vectors = np.asarray(file["vectors"], dtype=np.float32)
            details: dict[str, Any] = json.loads(str(file["details"]))
    except (OSError, KeyError, ValueError, EOFError, BadZipFile):
        return None
    fits = vectors.ndim > 0 and dim in (None, vectors.shape[-1])
    if not fits or not np.isfinite(vectors).all():
        return None
    return vectors, details


def store_cached(
    folder: Path | None, key: str, vectors: NDArray[np.float32], details: dict[str, Any]
) -> None:
    """Store vectors, at once or not at all; a folder that cannot be written to is not an error."""
    if folder is None:
        return
    with suppress(OSError), written_beside(folder / f"{key}.npz") as partial:
        np.savez(partial, vectors=vectors, details=np.array(json.dumps(details)))
