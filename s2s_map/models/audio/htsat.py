"""The published audio encoder: HTSAT as MGA-CLAP uses it, from log-mel to audio tokens."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from s2s_map.config.model import HtsatConfig
from s2s_map.models.audio.mel import hann, mel_filters
from s2s_map.models.audio.swin import PatchMerging, SwinBlock


class AudioBranch(nn.Module):
    """Holds the audio encoder under its published name."""

    def __init__(self, config: HtsatConfig) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"audio_enc": Htsat(config)})

    def forward(self, mel: Tensor) -> Tensor:
        """Map log-mel (B, 1, frames, mel_bins) to tokens (B, T, dim)."""
        tokens: Tensor = self.model["audio_enc"](mel)
        return tokens


class Htsat(nn.Module):
    """Log-mel spectrograms to audio tokens; parameter names as in the published checkpoints.

    `audio_feats_extractor`, `tscam_conv` and `head` are in the checkpoints without influence on
    the tokens: kept so that a checkpoint loads whole, never computed.
    """

    def __init__(self, config: HtsatConfig) -> None:
        super().__init__()
        self.config = config
        self.audio_feats_extractor = SpectrogramConstants(config)
        self.bn0 = nn.BatchNorm2d(config.mel_bins)
        self.patch_embed = PatchEmbedding(config.patch_px, config.widths[0])
        self.layers = nn.ModuleList(Stage(config, index) for index in range(len(config.depths)))
        self.norm = nn.LayerNorm(config.dim)
        rows = config.grids[-1] // config.chunks
        self.tscam_conv = nn.Conv2d(config.dim, config.classes, (rows, 3), padding=(0, 1))
        self.head = nn.Linear(config.classes, config.classes)

    def forward(self, mel: Tensor) -> Tensor:
        """Encode log-mel spectrograms.

        Args:
            mel: Decibels (B, 1, frames, mel_bins).

        Returns:
            Tokens (B, chunks * grid of the last stage, dim) in order of time.
        """
        tokens = self._before_last_block(self.image(mel))
        return self.by_time(self.norm(self._last_blocks()[-1].values_only(tokens)))

    def image(self, mel: Tensor) -> Tensor:
        """Normalise, stretch and fold log-mel (B, 1, frames, mel_bins) into a square image.

        Pixel (c * mel_bins + f, t) is band f at time c * image_px + t.

        Returns:
            (B, 1, image_px, image_px).
        """
        config = self.config
        mel = self.bn0(mel.transpose(1, 3)).transpose(1, 3)
        size = (config.image_px * config.chunks, config.mel_bins)
        mel = F.interpolate(mel, size, mode="bicubic", align_corners=True)
        mel = mel.reshape(-1, config.chunks, config.image_px, config.mel_bins)
        return mel.transpose(2, 3).reshape(-1, 1, config.image_px, config.image_px)

    def by_time(self, tokens: Tensor) -> Tensor:
        """Average tokens of the last stage (B, grid ** 2, dim) over frequency: (B, T, dim)."""
        grid, chunks = self.config.grids[-1], self.config.chunks
        tokens = tokens.reshape(-1, chunks, grid // chunks, grid, self.config.dim)
        return tokens.mean(dim=2).flatten(1, 2)

    def pooled(self, mel: Tensor) -> Tensor:
        """The largest of each number over the ordinary last block's tokens, (B, dim).

        Sat2Sound does not use it; it is the only output that depends on the whole last block.
        """
        tokens = self._last_blocks()[-1](self._before_last_block(self.image(mel)))
        pooled: Tensor = self.norm(tokens).amax(dim=1)
        return pooled

    def _last_blocks(self) -> list[SwinBlock]:
        return list(cast(Stage, self.layers[-1]).blocks)  # type: ignore[arg-type]

    def _before_last_block(self, image: Tensor) -> Tensor:
        tokens: Tensor = self.patch_embed(image)
        for stage in self.layers[:-1]:
            tokens = stage(tokens)
        for block in self._last_blocks()[:-1]:
            tokens = block(tokens)
        return tokens


class Stage(nn.Module):
    """Blocks of one token grid, every other one shifted, and the way to the next grid."""

    def __init__(self, config: HtsatConfig, index: int) -> None:
        super().__init__()
        dim, grid, window = config.widths[index], config.grids[index], config.window_tokens
        shift = window // 2 if grid > window else 0
        self.blocks = nn.ModuleList(
            SwinBlock(dim, grid, config.heads[index], window, shift * (number % 2))
            for number in range(config.depths[index])
        )
        self.downsample = PatchMerging(dim, grid) if index + 1 < len(config.depths) else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, grid ** 2, dim) to those of the next stage."""
        for block in self.blocks:
            tokens = block(tokens)
        return tokens if self.downsample is None else self.downsample(tokens)


class PatchEmbedding(nn.Module):
    """Cuts the image into squares and maps each to a normalised token."""

    def __init__(self, patch_px: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, dim, patch_px, stride=patch_px)
        self.norm = nn.LayerNorm(dim)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B, 1, H, W) to tokens (B, T, dim), row by row."""
        out: Tensor = self.norm(self.proj(image).flatten(2).transpose(1, 2))
        return out


class SpectrogramConstants(nn.Module):
    """The constants of the spectrogram as checkpoints hold them; recordings go by `mel.py`."""

    def __init__(self, config: HtsatConfig) -> None:
        super().__init__()
        size, filters = config.fft_size, config.fft_size // 2 + 1
        angle = np.outer(np.arange(filters), np.arange(size)) % size * (2 * math.pi / size)
        real, imaginary = np.cos(angle) * hann(size), -np.sin(angle) * hann(size)
        mel = mel_filters(config.rate, size, config.mel_bins, config.mel_range_hz)
        self.mel_trans = _nest("stft", conv_real=_kernel(real), conv_imag=_kernel(imaginary))
        self.log_trans = nn.ParameterDict({"melW": _frozen(mel)})


def _nest(name: str, **kernels: nn.ParameterDict) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.ModuleDict(kernels)})


def _kernel(rows: NDArray[np.float64]) -> nn.ParameterDict:
    return nn.ParameterDict({"weight": _frozen(rows[:, None].astype(np.float32))})


def _frozen(values: NDArray[np.float32]) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values), requires_grad=False)
