"""A small real model for queries, and recordings made on the spot."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from s2s_map.models.events.encoder import AudioEmbedding, EventMixEncoder
from s2s_map.models.registry import EMBEDDED

MINI = EMBEDDED / "s2s-mini"
DIM = 48
CODES = 32


class HashModel:
    """Embeds a text as a convex mix of 32 codes that the hash of each of its words picks.

    Deterministic, and alike for texts that share words. Recordings go through the embedded
    model's real event tagger.
    """

    def __init__(self, sha256: str = "a" * 64, folder: Path = MINI) -> None:
        self.sha256 = sha256
        self.dim = DIM
        self.codes = np.random.default_rng(1).standard_normal((CODES, DIM))
        self.audio_encoder = EventMixEncoder.from_folder(folder, self.embed_text)
        self.texts: list[str] = []

    def embed_text(self, text: str) -> NDArray[np.float32]:
        """Unit vector (48,)."""
        self.texts.append(text)
        weight = np.zeros(CODES)
        for word in text.lower().split():
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
            weight += np.random.default_rng(seed).dirichlet(np.full(CODES, 0.1))
        vector = weight / weight.sum() @ self.codes
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)

    def embed_recording(self, waveform: NDArray[np.float32], rate: int) -> AudioEmbedding:
        """Unit vector (48,)."""
        return self.audio_encoder.embed(waveform, rate)


def made_up_sound(seconds: float, rate: int = 16_000) -> NDArray[np.float32]:
    """Mono: a warbling tone over faint noise."""
    t = np.arange(round(seconds * rate)) / rate
    warble = 0.2 * np.sin(2 * np.pi * (1500 * t + 40 * np.sin(2 * np.pi * 5 * t)))
    noise = 0.01 * np.random.default_rng(3).standard_normal(len(t))
    return np.asarray(warble + noise, dtype=np.float32)


def write_sound(path: Path, samples: NDArray[np.float32], rate: int = 16_000) -> Path:
    """Write samples (n,) or (n, channels) in the format that the ending names."""
    if path.suffix == ".wav":
        soundfile.write(path, samples, rate, subtype="FLOAT")
    else:
        soundfile.write(path, samples, rate)
    return path
