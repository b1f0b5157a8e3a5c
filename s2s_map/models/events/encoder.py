"""Recordings in the model's embedding space, by way of the sound events heard in them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import QueryError
from s2s_map.models.events.card import CARD_FILE, EventsCard, read_events_card
from s2s_map.models.events.tagger import EventTagger
from s2s_map.models.protocols import AudioEmbedding

__all__ = ["AudioEmbedding", "EventMixEncoder", "event_weights"]

SHARPNESS = 4
"""Power that an event's excess is raised to; chosen on 105 recordings (docs/models)."""

SMALLEST_EXCESS = 1e-6

EmbedText = Callable[[str], NDArray[np.float32]]


class EventMixEncoder:
    """A recording as the mix of the text embeddings of its sound events.

    The embedding of a text is a convex mix of the model's codes, scaled to length 1, and so is
    what this encoder gives: a positive combination of text embeddings, scaled to length 1. A
    recording therefore never leaves the span of the codebook, and says no more than its events'
    words do.

    Args:
        folder: Holds events.json and events.safetensors.
        card: The events.json in it.
        embed_text: Gives the unit vector (dim,) of a text.
    """

    def __init__(self, folder: Path, card: EventsCard, embed_text: EmbedText) -> None:
        self.card = card
        self._folder = folder
        self._embed_text = embed_text

    @classmethod
    def from_folder(cls, folder: Path, embed_text: EmbedText) -> Self:
        """Read the card of a model folder; the weights load when a recording is embedded.

        Raises:
            CheckpointError: If the folder has no events.json.
            ModelError: If it does not validate.
        """
        return cls(folder, read_events_card(folder), embed_text)

    @cached_property
    def sha256(self) -> str:
        """Hash of events.json, which knows that of the weights, hexadecimal."""
        return hashlib.sha256((self._folder / CARD_FILE).read_bytes()).hexdigest()

    @property
    def events(self) -> tuple[str, ...]:
        """Names of the events."""
        return tuple(event.name for event in self.card.events)

    def embed(self, waveform: NDArray[np.float32], rate: int) -> AudioEmbedding:
        """Embed a mono recording.

        Args:
            waveform: Samples (n,), full scale 1.
            rate: Samples a second.

        Returns:
            The vector; its details are the `probability` of each event, its `weight` in the mix
            (weights sum to 1), `windows`, `seconds`, and whether any event `stands_out` from
            what the tagger says of noise.

        Raises:
            AudioError: If there is nothing to hear.
            CheckpointError: If the weights are missing or damaged.
        """
        probability, count = self._tagger.tag(waveform, rate)
        reference = np.array([event.reference for event in self.card.events])
        weight = event_weights(probability, reference)
        details = {
            "probability": _rounded(self.events, probability),
            "weight": _rounded(self.events, weight),
            "stands_out": bool((probability - reference).max() >= SMALLEST_EXCESS),
            "windows": count,
            "seconds": round(len(waveform) / rate, 3),
        }
        mix = dict(zip(self.events, weight.tolist(), strict=True))
        return AudioEmbedding(self.mix(mix), details)

    def mix(self, weights: Mapping[str, float]) -> NDArray[np.float32]:
        """Mix the text embeddings of events into a unit vector (dim,).

        Args:
            weights: How much of each event, at least 0; events left out count 0.

        Raises:
            QueryError: For an unknown event, a negative weight, or nothing to mix.
        """
        unknown = [name for name in weights if name not in self.events]
        if unknown:
            raise QueryError(
                f"unknown sound event {unknown[0]!r}",
                expected=f"one of {', '.join(self.events)}",
            )
        if min(weights.values(), default=0) < 0 or sum(weights.values(), 0.0) <= 0:
            raise QueryError(
                f"event weights {dict(weights)}",
                expected="none negative and at least one positive",
            )
        row = np.array([weights.get(name, 0.0) for name in self.events])
        mixed = row @ self._event_vectors
        return np.asarray(mixed / np.linalg.norm(mixed), dtype=np.float32)

    @cached_property
    def _event_vectors(self) -> NDArray[np.float64]:
        rows = []
        for event in self.card.events:
            mean = np.mean([self._embed_text(text) for text in event.texts], axis=0, dtype=float)
            rows.append(mean / np.linalg.norm(mean))
        return np.array(rows)

    @cached_property
    def _tagger(self) -> EventTagger:
        return EventTagger.load(self._folder, self.card)


def event_weights(
    probability: NDArray[np.float64], reference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights of events in the mix: what exceeds the reference, sharpened.

    weight = max(0, (p - r) / (1 - r)) ** 4, scaled to sum 1: an event counts by how far its
    probability p lies above r, its mean over clips in which nothing has a name. If none lies
    above, weights are p ** 4.

    Args:
        probability: Of each event (n,), 0 to 1.
        reference: Of each event (n,), 0 to below 1.

    Returns:
        Weights (n,), sum 1.
    """
    excess = np.maximum((probability - reference) / (1 - reference), 0)
    if excess.max() < SMALLEST_EXCESS:
        excess = np.maximum(probability, SMALLEST_EXCESS)
    # Scaled first, so that powers of small numbers do not vanish.
    excess = (excess / excess.max()) ** SHARPNESS
    return np.asarray(excess / excess.sum(), dtype=np.float64)


def _rounded(names: tuple[str, ...], values: NDArray[np.float64]) -> dict[str, float]:
    return {name: round(float(v), 4) for name, v in zip(names, values, strict=True)}
