"""What evaluations ask of a model, and what they check in what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.model import ModelCard
from s2s_map.errors import DataError, ModelError

type AudioForm = Literal["auto", "mel", "recording"]

_LENGTH_TOLERANCE = 0.01
"""Half precision is well within it."""


class EvaluatedModel(Protocol):
    """What evaluations ask of a model: a `LoadedModel`, or one of your own.

    One with an attribute ``takes_arrays = True`` is given numpy arrays and returns them.
    """

    name: str
    card: ModelCard
    dim: int
    input_px: int

    @property
    def audio_encoder(self) -> object:
        """What hears; None, or a `ModelError`: nothing."""
        ...

    def resolution_for(self, patch_m: float) -> float:
        """The resolution argument for patches of a side, metres."""
        ...

    def embed_slots(
        self, pixels: Any, resolution_m: float, level: Literal["patch"], slots: Sequence[Any]
    ) -> Sequence[Any]:
        """Embed uint8 patches (B, 3, px, px) per given metadata: (B, dim) each."""
        ...

    def embed_text(self, text: str) -> NDArray[np.float32]:
        """Embed a text as a unit vector (dim,)."""
        ...

    def embed_recording(self, waveform: NDArray[np.float32], rate: int) -> Any:
        """Embed a mono recording; `.vector` of the result is a unit vector (dim,)."""
        ...


@runtime_checkable
class MelHearer(Protocol):
    """An audio encoder that is given spectrograms, as in the published evaluation."""

    def embed_mels(self, mels: NDArray[np.float32]) -> Any:
        """Embed log-mel spectrograms (B, frames, bins) as (B, dim)."""
        ...


def heard_form(model: EvaluatedModel, asked: AudioForm) -> str:
    """What a model is given to hear: "mel", "recording" or "nothing".

    Raises:
        DataError: If it cannot be given what was asked for.
    """
    try:
        hearer = model.audio_encoder
    except ModelError:
        hearer = None
    if hearer is None:
        return "nothing"
    if isinstance(hearer, MelHearer):
        return "mel" if asked == "auto" else asked
    if asked == "mel":
        raise DataError(
            f"{model.name} cannot be given spectrograms", remedy="use --audio recording"
        )
    return "recording"


def embed_pixels(
    model: EvaluatedModel, pixels: NDArray[np.uint8], patch_m: float, slots: Sequence[Any]
) -> list[NDArray[np.float32]]:
    """Embed patches (B, 3, px, px) of a side in metres, once for all metadata that is given.

    Raises:
        ModelError: If the model gives anything else than finite unit vectors.
    """
    given: Any = pixels
    if not getattr(model, "takes_arrays", False):
        import torch

        given = torch.from_numpy(pixels)
    found = []
    for vectors in model.embed_slots(given, model.resolution_for(patch_m), "patch", slots):
        plain = vectors if isinstance(vectors, np.ndarray) else vectors.float().cpu().numpy()
        found.append(_checked(model, plain, (len(pixels), model.dim), "vectors of patches"))
    return found


def checked_vector(model: EvaluatedModel, vector: Any) -> NDArray[np.float32]:
    """Return a vector that a model gave.

    Raises:
        ModelError: If it is not a finite unit vector of the model's dimension.
    """
    return _checked(model, np.asarray(vector), (model.dim,), "a vector")


def _checked(
    model: EvaluatedModel, found: NDArray[Any], shape: tuple[int, ...], what: str
) -> NDArray[np.float32]:
    if found.shape != shape or not np.isfinite(found).all():
        raise ModelError(
            f"{model.name} gave {what} of shape {found.shape}, or not finite",
            expected=f"finite, {shape}",
        )
    vectors = np.asarray(found, dtype=np.float32)
    # Similarities are dot products: other lengths would be ranked by length, too.
    lengths = np.linalg.norm(vectors, axis=-1)
    if np.abs(lengths - 1).max() > _LENGTH_TOLERANCE:
        raise ModelError(
            f"{model.name} gave {what} of length {lengths.min():.3g} to {lengths.max():.3g}",
            expected="unit vectors",
            remedy="divide them by their length",
        )
    return vectors
