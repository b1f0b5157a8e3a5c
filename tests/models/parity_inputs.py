"""Inputs and comparison of the parity tests; see tests/data/parity/README.md."""

from __future__ import annotations

import math
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2s_map.models.metadata import Metadata, encode_hour, encode_month, encode_place

DATA = Path(__file__).parent.parent / "data" / "parity"
TOLERANCE = 1e-4

SUBSAMPLED: dict[str, tuple[slice, ...]] = {
    "tokens_backbone": (slice(None), slice(None, None, 28), slice(None, None, 24)),
    "tokens_projected": (slice(None), slice(None, None, 28), slice(None, None, 32)),
    "tokens_fused": (slice(None), slice(None, None, 25), slice(None, None, 32)),
    "pos_embed": (slice(None), slice(None, None, 15), slice(None, None, 8)),
    "mel_sine": (slice(None), slice(None), slice(None, None, 20), slice(None)),
    "htsat_image": (slice(None), slice(None), slice(None, None, 8), slice(None, None, 8)),
    "audio_tokens": (slice(None), slice(None, None, 4), slice(None, None, 12)),
    "photo_": (slice(None), slice(None, None, 12), slice(None, None, 12)),
}


def normal(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Standard normal numbers that the name decides."""
    random = np.random.RandomState(zlib.crc32(f"input:{name}".encode()))
    return random.standard_normal(math.prod(shape)).reshape(shape).astype(np.float32)


def images() -> torch.Tensor:
    """Four normalised images (4, 3, 224, 224)."""
    return torch.from_numpy(normal("sat", (4, 3, 224, 224)))


def resolution(gsd_m: float, zooms: tuple[int, ...]) -> torch.Tensor:
    """Resolution (B,) of images at zoom levels, metres."""
    return torch.tensor([gsd_m * zoom for zoom in zooms], dtype=torch.float32)


def metadata(case: str) -> Metadata:
    """Metadata of the four images.

    "all": every field known; "missing": image 2 has no hour, image 3 neither hour nor month;
    "nonleft": image 1 has an hour but no month.
    """
    hour_known, month_known = torch.ones(4, dtype=torch.bool), torch.ones(4, dtype=torch.bool)
    if case == "missing":
        hour_known[2] = hour_known[3] = month_known[3] = False
    elif case == "nonleft":
        month_known[1] = False
    place = encode_place(
        torch.tensor([37.77, -33.9, 0.5, 78.2]), torch.tensor([-122.42, 151.2, 9.4, 15.6])
    )
    return Metadata(
        values={
            "asource": torch.tensor([0, 1, 2, 3]),
            "tsource": torch.tensor([0, 1, 2, 0]),
            "latlong": place,
            "month": encode_month(torch.tensor([5, 1, 12, 9])) * month_known[:, None],
            "time": encode_hour(torch.tensor([13, 0, 23, 6])) * hour_known[:, None],
        },
        valid={"month": month_known, "time": hour_known},
    )


def texts(pad_to: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of four texts (4, pad_to, 1024) and their mask; padding is not zero."""
    features = normal("text", (4, 40, 1024))[:, :pad_to]
    mask = np.arange(pad_to)[None] < np.array([12, 7, 1, 5])[:, None]
    return torch.from_numpy(np.ascontiguousarray(features)), torch.from_numpy(mask)


def image_captions() -> tuple[torch.Tensor, torch.Tensor]:
    """Features of four further texts (4, 9, 1024) and their mask."""
    mask = np.arange(9)[None] < np.array([9, 4, 6, 9])[:, None]
    return torch.from_numpy(normal("text_llava", (4, 9, 1024))), torch.from_numpy(mask)


def mels() -> torch.Tensor:
    """Log-mel spectrograms of four clips (4, 1, 1001, 64), dB."""
    return torch.from_numpy((-20.0 + 20.0 * normal("mel", (4, 1, 1001, 64))).astype(np.float32))


def waveform() -> NDArray[np.float32]:
    """Ten seconds at 32 kHz (320000,): 440 Hz and noise."""
    t = np.arange(320_000) / 32_000.0
    noise = normal("wave", (320_000,)).astype(np.float64)
    return (0.5 * np.sin(2 * np.pi * 440.0 * t) + 0.05 * noise).astype(np.float32)


def metric_embeddings() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two sets of 60 unit vectors (60, 16); five of the second are there twice."""
    a, b = normal("metric_a", (60, 16)), normal("metric_b", (60, 16))
    b = b + 0.7 * a
    b[10:15] = b[20:25]
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    return a.astype(np.float32), b.astype(np.float32)


@cache
def golden() -> dict[str, NDArray[Any]]:
    """The golden arrays by name."""
    with np.load(DATA / "golden.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def difference(name: str, full: torch.Tensor) -> float:
    """Largest difference to a golden array over its largest value."""
    expected = golden()[name].astype(np.float64)
    array = full.detach().numpy().astype(np.float64)
    for prefix, part in SUBSAMPLED.items():
        if name.startswith(prefix):
            array = array[part]
    if array.shape != expected.shape:
        raise ValueError(f"{name}: {array.shape} instead of {expected.shape}")
    return float(np.abs(array - expected).max() / np.abs(expected).max())
