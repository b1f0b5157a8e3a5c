"""What queries ask of a model: any object with these attributes will do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

type QueryKind = Literal["text", "audio"]


class EmbeddedRecording(Protocol):
    """A recording in the model's embedding space."""

    @property
    def vector(self) -> NDArray[np.float32]:
        """Unit vector (dim,)."""
        ...

    @property
    def details(self) -> dict[str, Any]:
        """What it was made from, JSON-ready."""
        ...


class QueryModel(Protocol):
    """A model that texts and recordings can be asked with."""

    @property
    def sha256(self) -> str:
        """Hash of its weights, hexadecimal."""
        ...

    @property
    def dim(self) -> int:
        """Numbers per embedding."""
        ...

    @property
    def audio_encoder(self) -> object:
        """What embeds recordings; may be an `EventMixer`."""
        ...

    def embed_text(self, text: str) -> NDArray[np.float32]:
        """Embed a text as a unit vector (dim,)."""
        ...

    def embed_recording(self, waveform: NDArray[np.float32], rate: int) -> EmbeddedRecording:
        """Embed a mono recording (n,) of `rate` samples a second."""
        ...


@runtime_checkable
class EventMixer(Protocol):
    """An audio encoder that can also mix sound events by name."""

    @property
    def sha256(self) -> str:
        """Hash of the events and their texts, hexadecimal."""
        ...

    def mix(self, weights: Mapping[str, float]) -> NDArray[np.float32]:
        """Mix events into a unit vector (dim,)."""
        ...


@runtime_checkable
class FrozenTextReader(Protocol):
    """A model whose texts go through a frozen encoder that is not part of its weights."""

    @property
    def text_sha256(self) -> str:
        """Hash of that encoder's files, hexadecimal."""
        ...


def encoder_key(model: QueryModel, kind: QueryKind) -> str:
    """What, besides the content, decides a vector of a kind: the hashes of what embeds it."""
    parts = [model.sha256]
    mixer = model.audio_encoder if kind == "audio" else None
    if isinstance(mixer, EventMixer):
        parts.append(mixer.sha256)
    # Events are mixed from texts too; other recordings need nothing but the model's own weights.
    reads_text = kind == "text" or isinstance(mixer, EventMixer)
    if reads_text and isinstance(model, FrozenTextReader):
        parts.append(model.text_sha256)
    return "+".join(parts)
