"""How probable each sound event is in a recording of any length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from s2s_map.errors import AudioError
from s2s_map.models.checkpoints.reading import load_weights
from s2s_map.models.events.card import WEIGHTS_FILE, EventsCard
from s2s_map.models.events.features import RATE, SILENT_PEAK, log_mel, mel_filters
from s2s_map.models.events.loudness import loudness
from s2s_map.models.events.network import EventNetwork

WINDOW_S = 30
"""The clips the network was trained on last this long."""

SHORTEST_S = 10
"""Shorter recordings are repeated until they last this long."""

MOST_WINDOWS = 20
"""All of a recording is heard up to 10 minutes; of a longer one, this many windows."""


class EventTagger:
    """Tags recordings.

    Args:
        card: Events and normalisation.
        network: With weights.
    """

    def __init__(self, card: EventsCard, network: EventNetwork) -> None:
        self.card = card
        self.network = network.eval()
        self._filters = mel_filters()
        self._mel_mean = np.array(card.mel_mean_db, dtype=np.float32)
        self._mel_std = np.array(card.mel_std_db, dtype=np.float32)

    @classmethod
    def load(cls, folder: Path, card: EventsCard) -> Self:
        """Load the weights that belong to a card, kept as float16, used as float32.

        Raises:
            CheckpointError: If they are missing or damaged, or do not fit.
        """
        network = EventNetwork(len(card.events))
        load_weights(network, folder / WEIGHTS_FILE, card.sha256)
        return cls(card, network)

    def tag(self, waveform: NDArray[np.float32], rate: int) -> tuple[NDArray[np.float64], int]:
        """Tag a mono recording, window by window, in memory that does not grow with its length.

        Args:
            waveform: Samples (n,), full scale 1.
            rate: Samples a second.

        Returns:
            Probability of each event, the mean over the windows that are not silent; and how
            many windows those are.

        Raises:
            AudioError: If there is nothing to hear.
        """
        if waveform.ndim != 1 or not len(waveform) or not np.isfinite(waveform).all():
            raise AudioError(
                f"a recording of shape {waveform.shape}",
                expected="finite mono samples (n,)",
            )
        tags = [self._tag_window(window, rate) for window in windows(waveform, rate)]
        if not tags:
            raise AudioError(
                "a silent recording (its peak is below -80 dB of full scale)",
                remedy="use a recording in which something can be heard",
            )
        return np.mean(tags, axis=0), len(tags)

    def _tag_window(self, window: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
        window = soxr.resample(window, rate, RATE)
        mel = log_mel(window, self._filters)
        sones = loudness(window)
        mel = (mel - self._mel_mean) / self._mel_std
        sones = (sones - self.card.loudness_mean_sone) / self.card.loudness_std_sone
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(mel)[None], torch.from_numpy(sones)[None])
            return np.asarray(torch.sigmoid(logits)[0].numpy(), dtype=np.float64)


def windows(waveform: NDArray[np.float32], rate: int) -> Iterator[NDArray[np.float32]]:
    """Yield the windows of 30 s that a recording is tagged by, without the silent ones.

    A shorter recording is one window, repeated to 10 s if it is shorter than that. A longer one
    is covered by as few evenly spread windows as possible; from 10 minutes on, by 20 with gaps
    between them.

    Args:
        waveform: Samples (n,), n > 0.
        rate: Samples a second.
    """
    size = WINDOW_S * rate
    count = min(-(-len(waveform) // size), MOST_WINDOWS)
    starts = np.linspace(0, max(len(waveform) - size, 0), count).round().astype(int)
    for start in starts:
        window = waveform[start : start + size]
        if np.abs(window).max() < SILENT_PEAK:
            continue
        yield np.resize(window, max(len(window), SHORTEST_S * rate))
