"""The loudness curve that the event network hears of a recording.

The network was trained with the time-varying loudness of ISO 532-1 (Zwicker's method), which
takes about twice a recording's duration to compute. This is the same model with coarser parts, in
a thousandth of the time: third octaves out of a spectrogram instead of filters, one rate of decay
for the slopes of masking instead of a table, and no memory within a critical band.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from s2s_map.models.events.features import RATE

LOUDNESS_RATE = 500
FULL_SCALE_PA = 2.835797716391444
"""Sound pressure of a sample of 1: the source package's calibration (1 kHz sine, 60 dB SPL)."""

_REFERENCE_PA = 20e-6
_FFT_SIZE = 512
_HOP = RATE // LOUDNESS_RATE
_FRAMES_AT_ONCE = 4096

# Centres of the third octaves, and what low ones lose against 1 kHz (ISO 532-1, table A.3, at
# medium levels); above 250 Hz nothing.
_THIRDS_HZ = 1000 * 10 ** (np.arange(-16, 10) / 10)
_LOW_LOSS_DB = np.array([-23, -16, -11, -7, -3, 0, -4, -1, 0, -1, 0] + 15 * [0], dtype=float)
# Third octaves that make up one critical band: the lowest are as narrow as several together.
_FIRST_THIRD = np.array([0, 6, 9, *range(11, 26)])

# Per critical band (ISO 532-1, tables A.4 to A.7): upper edge in Bark, threshold in quiet, loss
# on the way into the ear, and what a third octave is narrower than the band.
_UPPER_BARK = np.array(
    [
        *(0.9, 1.8, 2.8, 3.5, 4.4, 5.4, 6.6, 7.9, 9.2),
        *(10.6, 12.3, 13.8, 15.2, 16.7, 18.1, 19.3, 20.6, 21.8),
    ]
)
_QUIET_DB = np.array([30, 18, 12, 8, 7, 6, 5, 4] + 10 * [3], dtype=float)
_EAR_DB = np.array(10 * [0.0] + [-0.5, -1.6, -3.2, -5.4, -5.6, -4.0, -1.5, 2.0])
_WIDTH_DB = np.array(
    [
        -0.25,
        -0.6,
        -0.8,
        -0.8,
        -0.5,
        0,
        0.5,
        1.1,
        1.5,
        1.7,
        1.8,
        1.8,
        1.7,
        1.6,
        1.4,
        1.2,
        0.8,
        0.5,
    ]
)

SLOPE_PER_BARK = 0.5
"""Rate at which masking decays towards higher critical bands."""

_FAST_S, _SLOW_S, _FAST_SHARE = 0.0035, 0.070, 0.47
"""Time constants of the two low-passes that total loudness goes through, and their shares."""


def loudness(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Approximate loudness of a mono clip at 16 kHz over time; above 8 kHz nothing is heard.

    Args:
        waveform: Samples (n,), full scale 1, n >= 257.

    Returns:
        Sones, 500 a second (n // 32,).
    """
    padded = np.pad(waveform.astype(np.float32), _FFT_SIZE // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SIZE)[::_HOP]
    frames = frames[: max(len(waveform) // _HOP, 1)]
    parts = [
        _total(_third_octaves(frames[i : i + _FRAMES_AT_ONCE]))
        for i in range(0, len(frames), _FRAMES_AT_ONCE)
    ]
    total = np.concatenate(parts)
    mixed = _FAST_SHARE * _low_pass(total, _FAST_S) + (1 - _FAST_SHARE) * _low_pass(total, _SLOW_S)
    return np.asarray(mixed, dtype=np.float32)


def _third_octaves(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """Levels (frames, 26) of the third octaves from 25 Hz to 8 kHz, dB SPL."""
    window = np.hanning(_FFT_SIZE + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    pascal2 = 2 * power * FULL_SCALE_PA**2 / (_FFT_SIZE * float((window**2).sum()))
    return 10 * np.log10(np.maximum(pascal2 @ _third_octave_shares() / _REFERENCE_PA**2, 1e-10))


def _third_octave_shares() -> NDArray[np.float64]:
    """How much of each FFT bin (257,) lies in each third octave (26,)."""
    step = RATE / _FFT_SIZE
    centres = np.arange(_FFT_SIZE // 2 + 1)[:, None] * step
    low, high = _THIRDS_HZ * 10 ** (-1 / 20), _THIRDS_HZ * 10 ** (1 / 20)
    overlap = np.minimum(centres + step / 2, high) - np.maximum(centres - step / 2, low)
    return np.asarray(np.maximum(overlap, 0) / step, dtype=np.float64)


def _total(thirds_db: NDArray[np.float64]) -> NDArray[np.float64]:
    """Total loudness (frames,) of third-octave levels (frames, 26), sone."""
    energy = 10 ** ((thirds_db + _LOW_LOSS_DB) / 10)
    band_db = 10 * np.log10(np.add.reduceat(energy, _FIRST_THIRD, axis=1)) - _EAR_DB
    above = band_db - _WIDTH_DB - _QUIET_DB
    core = 0.0635 * 10 ** (0.025 * _QUIET_DB) * ((0.75 + 0.25 * 10 ** (above / 10)) ** 0.25 - 1)
    core = np.where(band_db > _QUIET_DB, core, 0)
    widths = np.diff(_UPPER_BARK, prepend=0)
    total = np.zeros(len(core))
    slope = np.zeros(len(core))
    # Each band adds its own loudness or the decaying one of the bands below, whichever is more.
    for band, width in enumerate(widths):
        own = np.maximum(core[:, band], 1e-9)
        reach = np.clip(np.log(np.maximum(slope, 1e-9) / own) / SLOPE_PER_BARK, 0, width)
        left = slope * np.exp(-SLOPE_PER_BARK * reach)
        total += (slope - left) / SLOPE_PER_BARK * (reach > 0) + own * (width - reach)
        slope = np.maximum(slope * np.exp(-SLOPE_PER_BARK * width), own)
    # Above the last band the slope runs on to the end of the scale at 24 Bark.
    rest = 1 - np.exp(-SLOPE_PER_BARK * (24 - _UPPER_BARK[-1]))
    return np.asarray(total + slope * rest / SLOPE_PER_BARK, dtype=np.float64)


def _low_pass(values: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    steps = np.arange(int(6 * seconds * LOUDNESS_RATE) + 1)
    kernel = np.exp(-steps / (seconds * LOUDNESS_RATE))
    return np.convolve(values, kernel / kernel.sum())[: len(values)]
