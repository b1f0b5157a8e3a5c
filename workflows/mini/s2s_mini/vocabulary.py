"""The written vocabulary: phrases about soundscapes and the land covers they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from s2s_map.errors import DataError
from s2s_mini.landcover import COVERS, Cover

GROUPS: Mapping[str, Mapping[Cover, float]] = {
    "water": {"water": 1.0},
    "coast": {"water": 1.0},
    "forest": {"forest": 1.0},
    "farm": {"green": 0.5, "bare": 0.5},
    "green": {"green": 0.55, "bare": 0.45},
    "bare": {"bare": 0.55, "green": 0.45},
    "city": {"city": 0.75, "suburb": 0.25},
    "suburb": {"suburb": 0.7, "city": 0.3},
    "desert": {"desert": 1.0},
    "salt": {"salt": 0.8, "desert": 0.2},
}
"""Groups of phrases and the land covers each belongs to, weights summing to 1.

Green and bare fields share their sounds: which of them a field is depends on the month.
"""


@dataclass(frozen=True)
class Phrases:
    """Phrases of one group.

    Attributes:
        sounds: Phrases that stand alone.
        sources: What sounds, to be combined with a place.
        places: Where, to be combined with a source.
        moods: Sentences.
    """

    sounds: tuple[str, ...]
    sources: tuple[str, ...]
    places: tuple[str, ...]
    moods: tuple[str, ...]


@dataclass(frozen=True)
class Vocabulary:
    """All phrases.

    Attributes:
        groups: Phrases by group, see `GROUPS`.
        mixed: Phrases that belong to several groups, with weights summing to 1.
        neutral: Sounds that belong to no land cover.
    """

    groups: Mapping[str, Phrases]
    mixed: tuple[tuple[str, Mapping[str, float]], ...]
    neutral: tuple[str, ...]


def cover_weights(groups: Mapping[str, float]) -> tuple[float, ...]:
    """Weights of land covers, in the order of `COVERS`, from weights of groups.

    Raises:
        DataError: For a group that does not exist.
    """
    weights = dict.fromkeys(COVERS, 0.0)
    for group, share in groups.items():
        if group not in GROUPS:
            raise DataError(f"the vocabulary names a group {group!r}", expected=str(list(GROUPS)))
        for cover, part in GROUPS[group].items():
            weights[cover] += share * part
    return tuple(weights.values())


@cache
def load_vocabulary() -> Vocabulary:
    """Read the vocabulary that comes with the package."""
    raw = _read("phrases.yaml")
    groups = {
        group: Phrases(**{kind: tuple(phrases) for kind, phrases in parts.items()})
        for group, parts in raw["covers"].items()
    }
    mixed = tuple((str(text), dict(weights)) for text, weights in raw["mixed"])
    return Vocabulary(groups, mixed, tuple(raw["neutral"]))


@cache
def load_held_out() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Wordings that must stay out of training: kind -> group -> texts.

    Kinds are ``examples`` (the queries a model is judged on) and ``validation``.
    """
    return {
        kind: {group: tuple(texts) for group, texts in groups.items()}
        for kind, groups in _read("held_out.yaml").items()
    }


def _read(name: str) -> dict[str, Any]:
    content = (files("s2s_mini") / "data" / name).read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(content)
    return loaded
