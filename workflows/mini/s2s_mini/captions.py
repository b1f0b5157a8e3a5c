"""Varied captions from the written vocabulary, each with the land covers it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2s_mini.vocabulary import Phrases, Vocabulary, cover_weights

TEMPLATES = (
    "{}",
    "the sound of {}",
    "sounds of {}",
    "{} nearby",
    "{} in the distance",
    "a recording of {}",
    "you can hear {}",
    "a place where you hear {}",
    "this is the sound of {}",
    "an audio clip of {}",
    "{} all day long",
    "mostly {}",
    "faint {}",
    "loud {}",
)
"""Ways to say a phrase; half of the phrases stay as they are."""

MIXES = (
    "{}, and {}",
    "{} with {} in the background",
    "{} close by, {} further off",
    "mostly {}, some {}",
    "{} and now and then {}",
)
"""Ways to say two phrases, the more important one first."""

MIX_WEIGHTS = (0.6, 0.4)
"""Weights of the first and the second phrase of a mix."""

COMPOSED_PER_GROUP = 90
PLAIN_SHARE = 0.5
MIX_COUNT = 900


@dataclass(frozen=True)
class Caption:
    """A text and the land covers it stands for.

    Attributes:
        text: The caption.
        weights: In the order of `COVERS`; they sum to 1, or to 0 for a text without a place.
    """

    text: str
    weights: tuple[float, ...]


def write_captions(vocabulary: Vocabulary, seed: int = 0) -> list[Caption]:
    """Write the whole set of training captions; the same for the same seed.

    Single phrases, sources at places, sentences, mixes of two groups, and texts of no place.
    """
    generator = np.random.default_rng(seed)
    singles = {
        group: list(dict.fromkeys(_singles(phrases, generator)))
        for group, phrases in vocabulary.groups.items()
    }
    captions = [
        Caption(text, cover_weights({group: 1.0}))
        for group, texts in singles.items()
        for text in texts
    ]
    for text, groups in vocabulary.mixed:
        captions += [Caption(t, cover_weights(groups)) for t in _say(text, generator)]
    nowhere = cover_weights({})
    for text in vocabulary.neutral:
        captions += [Caption(t, nowhere) for t in _say(text, generator)]
    captions += _mixes(vocabulary, generator)
    return list({caption.text: caption for caption in captions}.values())


def _singles(phrases: Phrases, generator: np.random.Generator) -> Iterator[str]:
    for sound in phrases.sounds:
        yield from _say(sound, generator)
    pairs = [f"{source} {place}" for source in phrases.sources for place in phrases.places]
    count = min(COMPOSED_PER_GROUP, len(pairs))
    for index in generator.choice(len(pairs), count, replace=False):
        yield (
            pairs[index] if generator.random() < PLAIN_SHARE else _template(pairs[index], generator)
        )
    yield from phrases.moods


def _say(text: str, generator: np.random.Generator) -> Iterator[str]:
    yield text
    yield _template(text, generator)


def _template(text: str, generator: np.random.Generator) -> str:
    return TEMPLATES[int(generator.integers(1, len(TEMPLATES)))].format(text)


def _mixes(vocabulary: Vocabulary, generator: np.random.Generator) -> Iterator[Caption]:
    names = list(vocabulary.groups)
    for _ in range(MIX_COUNT):
        pair = [names[i] for i in generator.choice(len(names), 2, replace=False)]
        said = [_any(vocabulary.groups[name], generator) for name in pair]
        template = MIXES[int(generator.integers(len(MIXES)))]
        weights = cover_weights(dict(zip(pair, MIX_WEIGHTS, strict=True)))
        yield Caption(template.format(*said), weights)


def _any(phrases: Phrases, generator: np.random.Generator) -> str:
    return phrases.sounds[int(generator.integers(len(phrases.sounds)))]


def keep_far_from(
    embeddings: NDArray[np.floating], held_out: NDArray[np.floating], max_cosine: float
) -> NDArray[np.bool_]:
    """Tell which texts are far enough from every held-out wording.

    Args:
        embeddings: Unit sentence embeddings (n, dim) of the texts.
        held_out: Unit sentence embeddings (m, dim) of the wordings held out.
        max_cosine: A text at or above this cosine to any of them is too near.

    Returns:
        (n,) true where the text may be used.
    """
    if not len(held_out):
        return np.ones(len(embeddings), bool)
    keep: NDArray[np.bool_] = (embeddings @ held_out.T).max(axis=1) < max_cosine
    return keep
