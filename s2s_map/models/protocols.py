"""What the one Sat2Sound head asks of its three encoders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class ImageEncoder(Protocol):
    """Turns images into tokens. An implementation is a `torch.nn.Module`."""

    dim: int
    tokens_per_side: int
    input_px: int

    def __call__(self, pixels: Tensor, resolution_m: Tensor) -> Tensor:
        """Encode normalised images.

        Args:
            pixels: Float images (B, 3, input_px, input_px), normalised.
            resolution_m: Ground resolution of each image (B,), metres.

        Returns:
            Tokens (B, tokens_per_side ** 2, dim), row by row from the top left.
        """
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """Turns one text into token features; frozen."""

    dim: int

    def tokens(self, text: str) -> Tensor:
        """Encode one text, alone.

        Returns:
            Token features (1, T, dim) without padding.

        Raises:
            QueryError: For an empty or too long text.
        """
        ...


@dataclass(frozen=True, eq=False)
class AudioEmbedding:
    """A recording in the model's embedding space.

    Attributes:
        vector: Unit vector (dim,).
        details: What it was made from, JSON-ready, such as the probability of each event.
    """

    vector: NDArray[np.float32]
    details: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class AudioEncoder(Protocol):
    """Turns a recording into a unit vector."""

    def embed(self, waveform: NDArray[np.float32], rate: int) -> AudioEmbedding:
        """Embed a mono recording (n,) of `rate` samples a second.

        Raises:
            AudioError: For a recording that cannot be asked, such as silence.
        """
        ...
