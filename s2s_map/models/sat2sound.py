"""Sat2Sound at any size: image, text and audio tokens into one embedding space."""

from __future__ import annotations

from typing import Literal, Self, cast, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2s_map.config.model import HtsatConfig, ModelConfig
from s2s_map.errors import ModelError
from s2s_map.models.codebook import Codebook
from s2s_map.models.fusion import MetadataFusion
from s2s_map.models.metadata import Metadata
from s2s_map.models.precision import Linear, halve
from s2s_map.models.protocols import ImageEncoder
from s2s_map.plugins.kinds import AUDIO_ENCODERS

type Level = Literal["patch", "token", "both"]

LOGIT_SCALES = ("at", "it", "ia", "fdt", "i_at", "it_a")


class Sat2Sound(nn.Module):
    """The network; parameter names are those of the published checkpoints.

    Embeddings are not normalised, as in the published model: see `unit`. Frozen encoders that
    are not part of a checkpoint (text) stay outside.

    Args:
        config: Sizes.
        image_encoder: A module that follows `protocols.ImageEncoder`.
    """

    def __init__(self, config: ModelConfig, image_encoder: nn.Module) -> None:
        super().__init__()
        self.config = config
        for name in LOGIT_SCALES:
            setattr(self, f"logit_scale_{name}", nn.Parameter(torch.tensor(config.logit_scale)))
        self.satmae_backbone = ImageBranch(
            image_encoder, config.image.dim, config.projector_dim, config.embed_dim
        )
        if config.metadata:
            self.sat_encoder = FusionBranch(config)
        branch = getattr(AUDIO_ENCODERS.get(config.audio.kind), "branch", None)
        if branch is not None:
            self.audio_encoder = branch(config.audio)
        self.fdt = Codebook(
            config.codebook,
            image_dim=config.embed_dim,
            text_dim=config.text.dim,
            audio_dim=config.audio.token_dim,
        )

    def halve(self) -> Self:
        """Convert the matrix products of the satellite branch to bfloat16, in place.

        Residuals, norms, sparsemax and the mix of codes to a patch embedding stay float32; so do
        the text and audio branches, which are asked once and not a million times.
        """
        halve([self.satmae_backbone, self.fdt.img_query_model])
        if self.config.metadata:
            halve([self.sat_encoder])
        self.fdt.halve()
        return self

    @property
    def tokens_per_side(self) -> int:
        """Image tokens along one side of a patch."""
        return self.config.image.tokens_per_side

    def image_tokens(self, pixels: Tensor, resolution_m: Tensor) -> Tensor:
        """Encode and project images, before fusion.

        Args:
            pixels: Normalised images (B, 3, input_px, input_px).
            resolution_m: Ground resolution of each image (B,), metres.

        Returns:
            Tokens (B, tokens_per_side ** 2, embed_dim).
        """
        tokens: Tensor = self.satmae_backbone(pixels, resolution_m)
        return tokens

    def fuse(
        self, tokens: Tensor, metadata: Metadata | None = None, known: Tensor | None = None
    ) -> Tensor:
        """Fuse metadata into image tokens (B, T, embed_dim).

        Args:
            tokens: What `image_tokens` gives.
            metadata: Encoded metadata; None: all unknown.
            known: Overrides which fields count as known, bool (B, fields), for training.

        Returns:
            (B, T + fields, embed_dim), metadata tokens last; a model without metadata returns
            the image tokens as they are.
        """
        if not self.config.metadata:
            return tokens
        fused: Tensor = self.sat_encoder.meta_fuser(tokens, metadata, known)
        return fused

    @overload
    def embed_image(
        self,
        pixels: Tensor,
        resolution_m: Tensor,
        metadata: Metadata | None = None,
        *,
        level: Literal["patch", "token"] = "patch",
    ) -> Tensor: ...

    @overload
    def embed_image(
        self,
        pixels: Tensor,
        resolution_m: Tensor,
        metadata: Metadata | None = None,
        *,
        level: Literal["both"],
    ) -> tuple[Tensor, Tensor]: ...

    def embed_image(
        self,
        pixels: Tensor,
        resolution_m: Tensor,
        metadata: Metadata | None = None,
        *,
        level: Level = "patch",
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Embed satellite images.

        Args:
            pixels: Normalised images (B, 3, input_px, input_px).
            resolution_m: Ground resolution of each image (B,), metres.
            metadata: Encoded metadata; None: all unknown.
            level: One vector a patch (metadata tokens pooled with the others, as published),
                one vector an image token, or both.

        Returns:
            (B, dim) for "patch", (B, tokens_per_side ** 2, dim) for "token", or both of them.
        """
        return self.embed_tokens(
            self.fuse(self.image_tokens(pixels, resolution_m), metadata), level=level
        )

    @overload
    def embed_tokens(self, tokens: Tensor, *, level: Literal["patch", "token"]) -> Tensor: ...

    @overload
    def embed_tokens(self, tokens: Tensor, *, level: Literal["both"]) -> tuple[Tensor, Tensor]: ...

    @overload
    def embed_tokens(self, tokens: Tensor, *, level: Level) -> Tensor | tuple[Tensor, Tensor]: ...

    def embed_tokens(self, tokens: Tensor, *, level: Level) -> Tensor | tuple[Tensor, Tensor]:
        """Embed fused image tokens (B, N, embed_dim); see `embed_image`."""
        queries = self.fdt.query(tokens, "image")
        count = self.tokens_per_side**2
        if level == "patch":
            return self.fdt.pooled(queries)
        if level == "token":
            return self.fdt.per_token(queries[:, :count])
        return self.fdt.both(queries, count)

    def embed_text(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embed text token features.

        Args:
            features: (B, T, text dim).
            mask: Tokens that are not padding, bool (B, T); None: none is.

        Returns:
            (B, dim), not normalised.
        """
        return self.fdt.pooled(self.fdt.query(features, "text"), mask)

    def embed_audio(self, mel: Tensor) -> Tensor:
        """Embed log-mel spectrograms.

        Args:
            mel: What the branch of the config's audio encoder takes; of 'htsat' decibels (B, 1,
                frames, mel_bins).

        Returns:
            (B, dim), not normalised.

        Raises:
            ModelError: For a model that does not hear spectrograms, or ones of another shape.
        """
        self._check_tokens()
        audio = self.config.audio
        if isinstance(audio, HtsatConfig) and mel.shape[1:] != (1, audio.frames, audio.mel_bins):
            raise ModelError(
                f"spectrograms {tuple(mel.shape)}",
                expected=f"(B, 1, {audio.frames}, {audio.mel_bins})",
            )
        return self.embed_audio_tokens(self.audio_encoder(mel))

    def embed_audio_tokens(self, tokens: Tensor) -> Tensor:
        """Embed audio tokens (B, T, audio dim) as (B, dim), not normalised.

        Raises:
            ModelError: For a model without an audio query map.
        """
        self._check_tokens()
        return self.fdt.pooled(self.fdt.query(tokens, "audio"))

    def _check_tokens(self) -> None:
        if self.config.audio.token_dim is None:
            raise ModelError(
                f"a model whose audio encoder is {self.config.audio.kind!r} got audio tokens",
                expected="an audio encoder with tokens, such as 'htsat'",
            )


def unit(vectors: Tensor) -> Tensor:
    """Scale vectors (..., dim) to length 1; a zero vector stays zero."""
    return F.normalize(vectors, dim=-1, eps=1e-8)


class ImageBranch(nn.Module):
    """Image encoder and projector."""

    def __init__(self, encoder: nn.Module, dim: int, hidden: int, dim_out: int) -> None:
        super().__init__()
        self.backbone = encoder
        self.projector = Projector(dim, hidden, dim_out)

    def forward(self, pixels: Tensor, resolution_m: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to tokens (B, T, dim_out)."""
        tokens = cast(ImageEncoder, self.backbone)(pixels, resolution_m)
        out: Tensor = self.projector(tokens)
        return out


class Projector(nn.Module):
    """Two linear maps with an exact GELU between, token by token."""

    def __init__(self, dim: int, hidden: int, dim_out: int) -> None:
        super().__init__()
        self.linear1 = Linear(dim, hidden)
        self.linear2 = Linear(hidden, dim_out)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (..., dim) to (..., dim_out)."""
        out: Tensor = self.linear2(F.gelu(self.linear1(tokens)))
        return out


class FusionBranch(nn.Module):
    """Holds the metadata fusion under its published name."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.meta_fuser = MetadataFusion(config.embed_dim, config.metadata, config.fusion)
