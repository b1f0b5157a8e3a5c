"""A model with weights, ready to embed images, texts and recordings as unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2s_map.config.model import ModelCard, Precision
from s2s_map.errors import ModelError
from s2s_map.models.metadata import Metadata
from s2s_map.models.protocols import AudioEmbedding, AudioEncoder, TextEncoder
from s2s_map.models.sat2sound import Level, Sat2Sound, unit
from s2s_map.models.threads import one_thread
from s2s_map.plugins.kinds import AUDIO_ENCODERS, TEXT_ENCODERS


class LoadedModel:
    """A network with its card and its frozen encoders, which load when first asked for.

    Attributes:
        name: The name it was loaded by.
        card: What it is.
        sha256: Hash of its weights.
        network: The network, in eval mode.
        precision: What its satellite branch multiplies in, "fp32" or "bf16".
        dim: Numbers per embedding.
        input_px: Side of an input image, pixels.
        tokens_per_side: Image tokens along one side of a patch.
    """

    def __init__(
        self, card: ModelCard, network: Sat2Sound, folder: Path, precision: Precision = "fp32"
    ) -> None:
        self.name = card.name
        self.card = card
        self.sha256 = card.sha256
        self.network = network.eval()
        self.dim = card.config.dim
        self.input_px = card.config.image.input_px
        self.tokens_per_side = card.config.image.tokens_per_side
        self.precision = precision
        self._folder = folder
        # uint8 to normalised in one multiplication and one addition.
        mean = torch.tensor(card.config.pixel_mean).view(3, 1, 1)
        std = torch.tensor(card.config.pixel_std).view(3, 1, 1)
        self._scale = (1 / (255 * std)).to(self.device)
        self._shift = (-mean / std).to(self.device)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def resolution_for(self, patch_m: float) -> float:
        """The resolution argument for patches with a side of `patch_m` metres, metres."""
        return patch_m / self.card.config.reference_px

    @overload
    def embed_patches(
        self,
        pixels: Tensor,
        resolution_m: float,
        level: Literal["patch", "token"] = "patch",
        metadata: Metadata | None = None,
    ) -> Tensor: ...

    @overload
    def embed_patches(
        self,
        pixels: Tensor,
        resolution_m: float,
        level: Literal["both"],
        metadata: Metadata | None = None,
    ) -> tuple[Tensor, Tensor]: ...

    def embed_patches(
        self,
        pixels: Tensor,
        resolution_m: float,
        level: Level = "patch",
        metadata: Metadata | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Embed patches.

        Args:
            pixels: uint8 red, green, blue (B, 3, input_px, input_px), north up.
            resolution_m: What `resolution_for` gives for the patches, metres.
            level: One vector a patch, one a token (row by row), or both.
            metadata: Encoded metadata of the patches; None: unknown.

        Returns:
            Float32 unit vectors (B, dim), or (B, tokens_per_side ** 2, dim), or both.

        Raises:
            ModelError: For pixels of another shape or type.
        """
        images, resolution = self.prepare(pixels, resolution_m)
        with torch.inference_mode():
            if level == "both":
                patch, token = self.network.embed_image(images, resolution, metadata, level="both")
                return unit(patch.float()), unit(token.float())
            return unit(self.network.embed_image(images, resolution, metadata, level=level).float())

    def embed_slots(
        self,
        pixels: Tensor,
        resolution_m: float,
        level: Literal["patch", "token"],
        slots: Sequence[Metadata | None],
    ) -> list[Tensor]:
        """Embed patches once for each time slot: the backbone once, fusion and codebook each time.

        Args:
            pixels: uint8 red, green, blue (B, 3, input_px, input_px), north up.
            resolution_m: What `resolution_for` gives for the patches, metres.
            level: One vector a patch, or one a token (row by row).
            slots: Encoded metadata of the patches in each time slot; None: unknown.

        Returns:
            Per slot float32 unit vectors (B, dim) or (B, tokens_per_side ** 2, dim).

        Raises:
            ModelError: For pixels of another shape or type.
        """
        images, resolution = self.prepare(pixels, resolution_m)
        network = self.network
        with torch.inference_mode():
            tokens = network.image_tokens(images, resolution)
            return [
                unit(network.embed_tokens(network.fuse(tokens, one), level=level).float())
                for one in slots
            ]

    def prepare(self, pixels: Tensor, resolution_m: float) -> tuple[Tensor, Tensor]:
        """Return normalised images and their resolution (B,) on the device.

        Raises:
            ModelError: For pixels of another shape or type than uint8 (B, 3, input_px, input_px).
        """
        side = self.input_px
        if pixels.dtype != torch.uint8 or pixels.shape[1:] != (3, side, side):
            raise ModelError(
                f"patches of {pixels.dtype} {tuple(pixels.shape)}",
                expected=f"torch.uint8 (B, 3, {side}, {side})",
            )
        with torch.inference_mode():
            images = pixels.to(self.device) * self._scale + self._shift
        return images, torch.full((len(images),), resolution_m, device=self.device)

    def embed_text(self, text: str) -> NDArray[np.float32]:
        """Embed one text as a unit vector (dim,).

        Raises:
            QueryError: For an empty or too long text.
        """
        with torch.inference_mode(), self._text_threads():
            features = self.text_encoder.tokens(text).to(self.device)
            vector = unit(self.network.embed_text(features).float())[0]
        return np.asarray(vector.cpu().numpy(), dtype=np.float32)

    def read_text(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a text in the text encoder's own sentence space.

        It is the mean of the token features, as sentence encoders are read (Reimers and Gurevych
        2019): before the query map, which knows soundscapes only and places any text among them.

        Raises:
            QueryError: For an empty or too long text.
        """
        with torch.inference_mode(), self._text_threads():
            vector = unit(self.text_encoder.tokens(text).float().mean(dim=1))[0]
        return np.asarray(vector.cpu().numpy(), dtype=np.float32)

    def _text_threads(self) -> AbstractContextManager[None]:
        # One core is for small encoders; a Flan-T5 is not one.
        return one_thread() if self.card.config.text.small else nullcontext()

    def embed_recording(self, waveform: NDArray[np.float32], rate: int) -> AudioEmbedding:
        """Embed a mono recording (n,) of `rate` samples a second.

        Raises:
            AudioError: For a recording that cannot be asked, such as silence.
            ModelError: For a model without an audio encoder.
        """
        return self.audio_encoder.embed(waveform, rate)

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """The frozen text encoder.

        Raises:
            ModelError: If its files are not on this machine, or are of another kind.
            CheckpointError: If its weights are damaged.
        """
        encoder: TextEncoder = TEXT_ENCODERS.get(self.card.config.text.kind).load(
            self.card, str(self.device)
        )
        return encoder

    @cached_property
    def text_sha256(self) -> str:
        """Hash of the frozen text encoder's files, hexadecimal: they are not part of `sha256`.

        Raises:
            ModelError: If the files are not on this machine.
        """
        return str(TEXT_ENCODERS.get(self.card.config.text.kind).sha256(self.card))

    @cached_property
    def audio_encoder(self) -> AudioEncoder:
        """The audio encoder.

        Raises:
            ModelError: If the model has none.
        """
        kind = AUDIO_ENCODERS.get(self.card.config.audio.kind)
        encoder: AudioEncoder = kind.load(self, self._folder)
        return encoder


def torch_device(name: str) -> torch.device:
    """Check that a device exists.

    Raises:
        ModelError: For a name that torch does not know or a device that is not there.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ModelError(f"unknown device {name!r}", expected="cpu, cuda or cuda:N") from None
    count = torch.cuda.device_count() if device.type == "cuda" else 0
    # Not its index, of 8 bits: torch takes cuda:256 for cuda:0.
    number = name.partition(":")[2]
    if device.type == "cuda" and int(number or 0) >= count:
        raise ModelError(
            f"device {name!r} is not there ({count} CUDA devices found)", remedy="use device: cpu"
        )
    return device
