"""Clips in which nothing happens that has a name: noise, tones, clicks, bursts, near silence.

What a tagger says of these is what it says of nothing in particular.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
SECONDS = 30
LEVELS_DB = (-50, -30, -15)
TONES_HZ = (125, 250, 500, 1000, 2000, 4000)
FAINT_DB = -70
FLOOR = 1e-5


def neutral_clips(seed: int = 0) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield 40 clips of 30 s at 16 kHz, each with its name; the same for the same seed.

    Levels are those of the root mean square against full scale; white noise 100 dB below full
    scale lies under each clip, since no recording is free of noise.
    """
    random = np.random.default_rng(seed)
    for kind, clip in _kinds(random).items():
        for level in LEVELS_DB:
            scaled = clip / np.sqrt(np.mean(clip**2)) * 10 ** (level / 20)
            yield f"{kind} {level} dB", _on_floor(scaled, random)
    faint = _noise(1, random)
    yield (
        "near silence",
        _on_floor(faint / np.std(faint) * 10 ** (FAINT_DB / 20), random),
    )


def _on_floor(clip: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float32]:
    return np.asarray(clip + FLOOR * random.standard_normal(len(clip)), dtype=np.float32)


def _kinds(random: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    t = np.arange(RATE * SECONDS) / RATE
    pink = _noise(1, random)
    kinds = {
        "white noise": _noise(0, random),
        "pink noise": pink,
        "brown noise": _noise(2, random),
    }
    for hz in TONES_HZ:
        kinds[f"tone of {hz} Hz"] = np.sin(2 * np.pi * hz * t)
    kinds["sweep of 100 to 6000 Hz"] = np.sin(2 * np.pi * (100 * t + 5900 * t**2 / (2 * SECONDS)))
    comb = np.zeros(len(t))
    comb[:: RATE // 2] = 1
    click = np.exp(-np.arange(800) / 100) * random.standard_normal(800)
    kinds["clicks"] = np.convolve(comb, click)[: len(t)]
    kinds["bursts of pink noise"] = pink * (t % 2 < 1)
    kinds["pulsing pink noise"] = pink * (1 + np.sin(2 * np.pi * 4 * t))
    return kinds


def _noise(exponent: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Noise with a power spectrum of 1 / f ** exponent."""
    white = random.standard_normal(RATE * SECONDS)
    hz = np.fft.rfftfreq(len(white), 1 / RATE)
    hz[0] = hz[1]
    return np.fft.irfft(np.fft.rfft(white) * hz ** (-exponent / 2), len(white))
