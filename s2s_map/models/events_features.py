"""The log-mel spectrogram that the event network hears of a recording."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
MEL_BINS = 64
FFT_SIZE = 512
HOP = 160
MEL_FLOOR = 1e-10
MEL_RANGE_HZ = (50.0, 8_000.0)

SILENT_PEAK = 10 ** (-80 / 20)
"""A recording whose peak stays below this (-80 dB of full scale) is silent."""


def log_mel(waveform: NDArray[np.float32], filters: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel spectrogram of a mono clip at 16 kHz.

    Power of a periodic-Hann window of 512 samples every 160, centred with reflection at both
    ends, through the mel filters, in dB: 10 log10(max(mel, 1e-10)).

    Args:
        waveform: Samples (n,), n >= 257.
        filters: From `mel_filters`.

    Returns:
        Decibels (n // 160 + 1, 64).
    """
    padded = np.pad(waveform.astype(np.float32), FFT_SIZE // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SIZE)[::HOP]
    window = np.hanning(FFT_SIZE + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    decibels = 10 * np.log10(np.maximum(power @ filters, MEL_FLOOR))
    return np.asarray(decibels, dtype=np.float32)


def mel_filters() -> NDArray[np.float32]:
    """Triangular mel filters (257, 64), Slaney's mel scale, each of the same area."""
    lowest, highest = _hz_to_mel(np.array(MEL_RANGE_HZ))
    edges = _mel_to_hz(np.linspace(lowest, highest, MEL_BINS + 2))
    hz = np.fft.rfftfreq(FFT_SIZE, 1 / RATE)[:, None]
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
