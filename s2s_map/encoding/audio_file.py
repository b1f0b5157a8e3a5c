"""Recordings read from files: mono, whole, and refused in one line when they are not usable."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.files import open_regular
from s2s_map.errors import AudioError
from s2s_map.models.events_features import SILENT_PEAK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soundfile import SoundFile

SAMPLE_PREFIX = "sample:"
FORMATS = "a WAV, FLAC, OGG or MP3 file"
SHORTEST_S = 0.1
LONGEST_S = 3600.0
SLOWEST_HZ = 4000
FASTEST_HZ = 768_000
LOUDEST = 32_768.0

_BLOCK_SAMPLES = 1 << 21


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording in memory.

    Attributes:
        waveform: Mono samples (n,), the mean of the file's channels, full scale 1.
        rate: Samples a second.
        sha256: Hash of the file's bytes, hexadecimal.
        seconds: Duration.
        name: File name, without folders.
    """

    waveform: NDArray[np.float32]
    rate: int
    sha256: str
    seconds: float
    name: str


def read_recording(path: str | Path) -> Recording:
    """Read a recording of up to an hour.

    Args:
        path: A WAV, FLAC, OGG or MP3 file of any rate and number of channels, or
            "sample:owl.mp3" for one that comes with the package.

    Raises:
        AudioError: If it is missing, not audio, shorter than 0.1 s, longer than an hour, silent
            (peak below -80 dB of full scale), or holds numbers that are not finite.
    """
    with _located(path) as file:
        return _read(file, str(path))


def recording_sha256(path: str | Path) -> str:
    """Return the hash of a recording's bytes, hexadecimal, without decoding it.

    Args:
        path: As of `read_recording`.

    Raises:
        AudioError: If it is missing or cannot be read.
    """
    try:
        with _located(path) as file, open_regular(file) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise AudioError(f"no recording at {path}", remedy="check the path") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise AudioError(f"cannot read {path}: {reason}", expected=FORMATS) from None


def decode_recording(content: bytes, name: str) -> Recording:
    """Read a recording out of memory; see `read_recording`.

    Args:
        content: The bytes of a file.
        name: What to call it in a message.

    Raises:
        AudioError: As `read_recording`.
    """
    from soundfile import LibsndfileError, SoundFile

    try:
        with SoundFile(BytesIO(content)) as sound:
            _check_header(sound, name)
            waveform = _mono(sound, name)
            rate = int(sound.samplerate)
    except LibsndfileError as error:
        raise AudioError(
            f"{name} does not open as audio ({error.error_string.rstrip('.')})", expected=FORMATS
        ) from None
    _check_content(waveform, rate, name)
    sha256 = hashlib.sha256(content).hexdigest()
    return Recording(waveform, rate, sha256, len(waveform) / rate, name)


@contextmanager
def _located(path: str | Path) -> Iterator[Path]:
    text = str(path)
    if not text.startswith(SAMPLE_PREFIX):
        yield Path(path).expanduser()
        return
    sounds = files("s2s_map") / "sample_data" / "sounds"
    known = sorted(item.name for item in sounds.iterdir() if not item.name.endswith(".md"))
    name = text.removeprefix(SAMPLE_PREFIX)
    if name not in known:
        raise AudioError(
            f"no sample recording {name!r}",
            expected=" or ".join(SAMPLE_PREFIX + item for item in known),
        )
    with as_file(sounds / name) as file:
        yield file


def _read(path: Path, shown: str) -> Recording:
    from soundfile import LibsndfileError, SoundFile

    try:
        with open_regular(path) as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            stream.seek(0)
            # By its bytes, not by its path: the ending of a name says nothing about what is in it.
            with SoundFile(stream.fileno(), closefd=False) as sound:
                _check_header(sound, shown)
                waveform = _mono(sound, shown)
                rate = int(sound.samplerate)
    except FileNotFoundError:
        raise AudioError(f"no recording at {shown}", remedy="check the path") from None
    except LibsndfileError as error:
        raise AudioError(
            f"{shown} does not open as audio ({error.error_string.rstrip('.')})",
            expected=FORMATS,
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise AudioError(f"cannot read {shown}: {reason}", expected=FORMATS) from None
    _check_content(waveform, rate, shown)
    return Recording(waveform, rate, sha256, len(waveform) / rate, path.name)


def _check_header(sound: SoundFile, shown: str) -> None:
    if sound.samplerate < SLOWEST_HZ:
        raise AudioError(
            f"{shown} has {sound.samplerate} samples a second",
            expected=f"at least {SLOWEST_HZ}",
        )
    if sound.samplerate > FASTEST_HZ:
        raise AudioError(
            f"{shown} has {sound.samplerate:,} samples a second",
            expected=f"at most {FASTEST_HZ:,}",
            remedy="check its header, or resample it",
        )


def _mono(sound: SoundFile, shown: str) -> NDArray[np.float32]:
    # In blocks: a long recording of many channels is never in memory as a whole. Not by
    # SoundFile.blocks: it trusts the header, and gives unset memory where the header promises
    # more frames than there are, as that of many an MP3 does.
    blocks = []
    frames = 0
    at_a_time = max(1, _BLOCK_SAMPLES // sound.channels)
    while len(block := sound.read(at_a_time, dtype="float32", always_2d=True)):
        # What overflows is infinite, and refused with what is not finite.
        with np.errstate(over="ignore", invalid="ignore"):
            blocks.append(block.mean(axis=1, dtype=np.float32))
        frames += len(block)
        if frames > LONGEST_S * sound.samplerate:
            raise AudioError(
                f"{shown} is longer than {LONGEST_S / 60:.0f} minutes",
                remedy="cut out a part of it",
            )
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)


def _check_content(waveform: NDArray[np.float32], rate: int, shown: str) -> None:
    seconds = len(waveform) / rate
    if seconds < SHORTEST_S:
        raise AudioError(
            f"{shown} lasts {seconds:.3g} s",
            expected=f"a recording of at least {SHORTEST_S} s",
        )
    low, high = float(waveform.min()), float(waveform.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise AudioError(
            f"{shown} holds samples that are not numbers",
            remedy="export it again, for instance as 16-bit WAV",
        )
    if max(-low, high) > LOUDEST:
        raise AudioError(
            f"{shown} holds samples of up to {max(-low, high):.3g}",
            expected=f"full scale 1, and nothing beyond {LOUDEST:g}",
            remedy="export it again, for instance as 16-bit WAV",
        )
    if max(-low, high) < SILENT_PEAK:
        raise AudioError(
            f"{shown} is silent (its peak is below -80 dB of full scale)",
            remedy="use a recording in which something can be heard",
        )
