"""Recordings of any length in the embedding space, by the published audio encoder."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from s2s_map.config.model import HtsatConfig
from s2s_map.errors import AudioError, ModelError
from s2s_map.models.audio.mel import log_mel, mel_filters
from s2s_map.models.events.features import SILENT_PEAK
from s2s_map.models.protocols import AudioEmbedding
from s2s_map.models.sat2sound import Sat2Sound, unit

MOST_WINDOWS = 60
"""All of a recording is heard up to 10 minutes; of a longer one, this many windows."""

BATCH = 8


class HtsatRecordingEncoder:
    """A recording as the mean of its windows' unit embeddings, scaled to length 1.

    The published evaluation hears one window at random. Here every second of a recording counts,
    and the same recording always gives the same vector; of a recording no longer than one window
    it is the published one.

    Args:
        network: With an audio branch, in eval mode.
        config: That of its audio encoder.
    """

    def __init__(self, network: Sat2Sound, config: HtsatConfig) -> None:
        self._network = network
        self._config = config
        self._filters = mel_filters(
            config.rate, config.fft_size, config.mel_bins, config.mel_range_hz
        )

    def embed(self, waveform: NDArray[np.float32], rate: int) -> AudioEmbedding:
        """Embed a mono recording.

        Args:
            waveform: Samples (n,), full scale 1.
            rate: Samples a second.

        Returns:
            The vector; its details are how many `windows` were heard, and `seconds`.

        Raises:
            AudioError: If there is nothing to hear.
        """
        if waveform.ndim != 1 or not len(waveform) or not np.isfinite(waveform).all():
            raise AudioError(
                f"a recording of shape {waveform.shape}", expected="finite mono samples (n,)"
            )
        vectors: list[torch.Tensor] = []
        batch: list[NDArray[np.float32]] = []
        for window in self.windows(waveform, rate):
            batch.append(self.mel(window))
            if len(batch) == BATCH:
                vectors.append(self.embed_mels(np.stack(batch)))
                batch = []
        if batch:
            vectors.append(self.embed_mels(np.stack(batch)))
        if not vectors:
            raise AudioError(
                "a silent recording (its peak is below -80 dB of full scale)",
                remedy="use a recording in which something can be heard",
            )
        rows = torch.cat(vectors)
        vector = unit(rows.mean(dim=0)).cpu().numpy()
        details = {"windows": len(rows), "seconds": round(len(waveform) / rate, 3)}
        return AudioEmbedding(np.asarray(vector, dtype=np.float32), details)

    def mel(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mel spectrogram (frames, mel_bins) of one window at the encoder's rate.

        A shorter window is filled with zeros at its end, as published.
        """
        size = round(self._config.rate * self._config.window_s)
        whole = np.zeros(size, dtype=np.float32)
        whole[: len(window)] = window[:size]
        return log_mel(whole, self._filters, self._config.hop)

    def windows(self, waveform: NDArray[np.float32], rate: int) -> Iterator[NDArray[np.float32]]:
        """Yield a recording's windows that are not silent, at the encoder's rate.

        As few evenly spread windows as cover it; from 10 minutes on, 60 with gaps between them.

        Args:
            waveform: Samples (n,), n > 0.
            rate: Samples a second.
        """
        size = round(self._config.window_s * rate)
        count = min(-(-len(waveform) // size), MOST_WINDOWS)
        starts = np.linspace(0, max(len(waveform) - size, 0), count).round().astype(int)
        for start in starts:
            window = waveform[start : start + size]
            if np.abs(window).max() < SILENT_PEAK:
                continue
            if rate != self._config.rate:
                window = soxr.resample(window, rate, self._config.rate)
            yield window

    def embed_mels(self, mels: NDArray[np.float32]) -> torch.Tensor:
        """Embed log-mel spectrograms (B, frames, mel_bins) of one window each.

        Returns:
            Float32 unit vectors (B, dim).

        Raises:
            ModelError: For spectrograms of another shape.
        """
        expected = (self._config.frames, self._config.mel_bins)
        if mels.shape[1:] != expected:
            raise ModelError(
                f"spectrograms of shape {mels.shape[1:]}", expected=f"(frames, bins) {expected}"
            )
        device = self._network.fdt.space_dict.device
        with torch.inference_mode():
            batch = torch.from_numpy(mels)[:, None].to(device)
            return unit(self._network.embed_audio(batch).float())
