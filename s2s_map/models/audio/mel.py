"""Log-mel spectrograms: the picture of a recording that the audio networks see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FLOOR = 1e-10


def log_mel(
    waveform: NDArray[np.float32], filters: NDArray[np.float32], hop: int
) -> NDArray[np.float32]:
    """Log-mel spectrogram of a mono clip.

    Power of a periodic-Hann window, centred with reflection at both ends, through the mel
    filters, in dB: 10 log10(max(mel, 1e-10)). Digital silence is -100.

    Args:
        waveform: Samples (n,), more than half a window.
        filters: From `mel_filters`; their number of frequencies says how long the window is.
        hop: Samples from one window to the next.

    Returns:
        Decibels (n // hop + 1, bins).
    """
    size = 2 * (len(filters) - 1)
    padded = np.pad(waveform.astype(np.float32), size // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.abs(np.fft.rfft(frames * hann(size).astype(np.float32), axis=1)) ** 2
    decibels = 10 * np.log10(np.maximum(power @ filters, FLOOR))
    return np.asarray(decibels, dtype=np.float32)


def hann(size: int) -> NDArray[np.float64]:
    """Periodic Hann window (size,)."""
    return np.asarray(np.hanning(size + 1)[:-1], dtype=np.float64)


def mel_filters(
    rate: int, size: int, bins: int, range_hz: tuple[float, float]
) -> NDArray[np.float32]:
    """Triangular mel filters (size // 2 + 1, bins), Slaney's mel scale, each of the same area.

    Args:
        rate: Samples a second.
        size: Samples in a window.
        bins: Number of filters.
        range_hz: Lowest and highest frequency.
    """
    lowest, highest = _hz_to_mel(np.array(range_hz))
    edges = _mel_to_hz(np.linspace(lowest, highest, bins + 2))
    hz = np.fft.rfftfreq(size, 1 / rate)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((hz - low) / (centre - low), (high - hz) / (high - centre))
    return np.asarray(np.maximum(triangles, 0) * 2 / (high - low), dtype=np.float32)


# Slaney's scale is linear up to 1 kHz (mel 15) and logarithmic above, 27 steps for a factor 6.4.
_LINEAR_HZ = 200 / 3
_LOG_STEP = np.log(6.4) / 27


def _hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    above = 15 + np.log(np.maximum(hz, 1e-9) / 1000) / _LOG_STEP
    return np.where(hz < 1000, hz / _LINEAR_HZ, above)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15, mel * _LINEAR_HZ, 1000 * np.exp(_LOG_STEP * (mel - 15)))
