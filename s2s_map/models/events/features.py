"""The log-mel spectrogram that the event network hears of a recording."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from s2s_map.models.audio import mel

RATE = 16_000
MEL_BINS = 64
FFT_SIZE = 512
HOP = 160
MEL_RANGE_HZ = (50.0, 8_000.0)

SILENT_PEAK = 10 ** (-80 / 20)
"""A recording whose peak stays below this (-80 dB of full scale) is silent."""


def log_mel(waveform: NDArray[np.float32], filters: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel spectrogram of a mono clip at 16 kHz: windows of 512 samples every 160.

    Args:
        waveform: Samples (n,), n >= 257.
        filters: From `mel_filters`.

    Returns:
        Decibels (n // 160 + 1, 64).
    """
    return mel.log_mel(waveform, filters, HOP)


def mel_filters() -> NDArray[np.float32]:
    """Triangular mel filters (257, 64), Slaney's mel scale, each of the same area."""
    return mel.mel_filters(RATE, FFT_SIZE, MEL_BINS, MEL_RANGE_HZ)
