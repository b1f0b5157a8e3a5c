"""How well a question is understood: its nearness to known soundscapes, held against nonsense.

Any text gives a map, and a frozen text encoder places random letters somewhere too. So a text is
read in the sentence space of the model's own text encoder (the mean of its token features), and
two numbers are held against what a stated list of nonsense reaches there, the null distribution:

- *closeness*: the highest cosine with the texts of the background vocabulary,
- *margin*: by how much that is above the highest cosine with the nonsense itself.

Each gives an empirical p value, ``(1 + #{null >= value}) / (1 + n)`` (Davison and Hinkley 1997,
section 4.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from s2s_map.encoding.query_model import QueryModel, encoder_key
from s2s_map.encoding.vector_cache import cache_key, load_cached, store_cached
from s2s_map.encoding.vocabulary import load_vocabulary

NONSENSE_FILE = "nonsense.txt"
LEVEL = 0.05
"""Above this p value of its closeness a text is no nearer to what is known than nonsense is."""

LEVEL_MARGIN = 0.1
"""Above this p value of its margin it is as good as nonsense; names of species stay below."""

type Level = Literal["understood", "unfamiliar", "not understood"]


@runtime_checkable
class SentenceReader(Protocol):
    """A model whose text encoder has a sentence space of its own."""

    @property
    def text_sha256(self) -> str:
        """Hash of that encoder's files, hexadecimal."""
        ...

    def read_text(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector (any,) of a text in that space."""
        ...


@dataclass(frozen=True)
class Understood:
    """How well one text is understood.

    Attributes:
        text: The text.
        level: "understood": nearer to a known soundscape than 95 % of nonsense is; "unfamiliar":
            unlike nonsense, but no nearer to a known soundscape; "not understood": neither.
        closeness: Cosine with the nearest text of the background vocabulary.
        nearest: That text.
        nonsense: Closeness that 5 % and 95 % of the nonsense stay below.
        p: Of the closeness.
        p_margin: Of the margin.
    """

    text: str
    level: Level
    closeness: float
    nearest: str
    nonsense: tuple[float, float]
    p: float
    p_margin: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {**asdict(self), "nonsense": list(self.nonsense)}

    def __str__(self) -> str:
        low, high = self.nonsense
        if self.level == "understood":
            return (
                f'"{self.text}" is understood, nearest to "{self.nearest}" ({self.closeness:.2f})'
            )
        what = (
            f'its nearest known sound, "{self.nearest}", is at {self.closeness:.2f}, '
            f"and nonsense reaches {low:.2f} to {high:.2f}"
        )
        if self.level == "unfamiliar":
            return (
                f'"{self.text}" is unfamiliar to the model: {what}; '
                "describe the sound in plain words"
            )
        return (
            f'"{self.text}" is not understood: {what}; its map means nothing: '
            "ask in plain English words"
        )


class Yardstick:
    """Known soundscapes and nonsense in a model's sentence space, to hold texts against.

    Args:
        names: The known soundscapes.
        known: Their unit vectors (n, dim).
        nonsense: Unit vectors of nonsense (m, dim), m at least 2.
    """

    def __init__(
        self,
        names: Sequence[str],
        known: NDArray[np.float32],
        nonsense: NDArray[np.float32],
    ) -> None:
        self._names, self._known, self._nonsense = tuple(names), known, nonsense
        among = nonsense @ nonsense.T
        np.fill_diagonal(among, -1.0)
        self._null = (nonsense @ known.T).max(axis=1)
        self._null_margin = self._null - among.max(axis=1)

    def judge(self, text: str, vector: NDArray[np.float32]) -> Understood:
        """Return how well a text is understood.

        Args:
            text: The text.
            vector: Its unit vector (dim,).
        """
        similar = self._known @ vector
        closeness = float(similar.max())
        margin = closeness - float((self._nonsense @ vector).max())
        p, p_margin = _p(self._null, closeness), _p(self._null_margin, margin)
        low, high = (float(v) for v in np.percentile(self._null, (5, 95)))
        return Understood(
            text,
            "understood"
            if p <= LEVEL
            else "unfamiliar"
            if p_margin <= LEVEL_MARGIN
            else "not understood",
            round(closeness, 3),
            self._names[int(similar.argmax())],
            (round(low, 3), round(high, 3)),
            round(p, 3),
            round(p_margin, 3),
        )


def judge_texts(
    model: QueryModel, texts: Sequence[str], cache_dir: Path | None = None
) -> list[Understood]:
    """Return how well a model understands texts.

    Args:
        model: What reads them; in its own embedding space if it is not a `SentenceReader`.
        texts: The texts, as they are embedded.
        cache_dir: Where vectors are kept for the next time; None: nowhere.

    Raises:
        QueryError: For an empty or too long text.
    """
    if not texts:
        return []
    names = load_vocabulary("text").names
    yardstick = Yardstick(
        names, _read(model, names, cache_dir), _read(model, load_nonsense(), cache_dir)
    )
    return [yardstick.judge(text, _read(model, (text,), cache_dir)[0]) for text in texts]


def load_nonsense() -> tuple[str, ...]:
    """Read the list of nonsense that comes with the package."""
    content = (files("s2s_map.encoding") / "data" / NONSENSE_FILE).read_text(encoding="utf-8")
    return tuple(line for line in content.splitlines()[_HEADER_LINES:] if line)


# Nonsense may begin with any sign, that of a comment among them.
_HEADER_LINES = 4


def _p(null: NDArray[np.float32], value: float) -> float:
    return float((1 + np.count_nonzero(null >= value)) / (1 + len(null)))


def _read(model: QueryModel, texts: Sequence[str], cache_dir: Path | None) -> NDArray[np.float32]:
    reader = model if isinstance(model, SentenceReader) else None
    encoder = encoder_key(model, "text") if reader is None else reader.text_sha256
    content = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    key = cache_key("reading", content, encoder)
    cached = load_cached(cache_dir, key)
    if cached is not None and cached[0].shape[:1] == (len(texts),):
        return cached[0]
    embed = model.embed_text if reader is None else reader.read_text
    rows = np.array([embed(text) for text in texts], dtype=np.float32)
    vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    store_cached(cache_dir, key, vectors, {})
    return vectors
