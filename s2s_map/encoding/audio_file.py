"""Recordings read from files: mono, whole, and refused in one line when they are not usable."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from io import BytesIO, FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.files import open_regular
from s2s_map.encoding.audio_av import FASTEST_HZ, decode_with_av
from s2s_map.errors import AudioError
from s2s_map.models.events.features import SILENT_PEAK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soundfile import SoundFile

SAMPLE_PREFIX = "sample:"
FORMATS = "a WAV, FLAC, OGG or MP3 file"
CONVERT = (
    "convert it: ffmpeg -i IN OUT.wav; or pip install 's2s-map[recordings]' for m4a and others"
)
SHORTEST_S = 0.1
LONGEST_S = 3600.0
SLOWEST_HZ = 4000

_BLOCK_SAMPLES = 1 << 21
_UNKNOWN_FORMAT = 1
"""What libsndfile calls SF_ERR_UNRECOGNISED_FORMAT."""
_LOUDEST = 8.0
"""Peaks of floating point recordings that were amplified: 18 dB above full scale."""
_WHOLE_NUMBERS = 32_768.0
"""Full scale of 16-bit numbers, which some programs write as floating point unscaled."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording in memory.

    Attributes:
        waveform: Mono samples (n,), the mean of the file's channels, full scale 1.
        rate: Samples a second.
        sha256: Hash of the file's bytes, hexadecimal.
        seconds: Duration.
        name: File name, without folders.
        scaled_from: Peak of the file, where its samples were whole numbers of 16 bits written as
            floating point and were scaled to full scale 1; else None.
    """

    waveform: NDArray[np.float32]
    rate: int
    sha256: str
    seconds: float
    name: str
    scaled_from: float | None = None


def read_recording(path: str | Path) -> Recording:
    """Read a recording of up to an hour.

    Args:
        path: A WAV, FLAC, OGG or MP3 file of any rate and number of channels, or
            "sample:owl.mp3" for one that comes with the package.

    Raises:
        AudioError: If it is missing, not audio, shorter than 0.1 s, longer than an hour, silent
            (peak below -80 dB of full scale), or holds numbers that are not finite or far
            beyond full scale.
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
    waveform, rate = _decode(BytesIO(content), name)
    return _recording(waveform, rate, hashlib.sha256(content).hexdigest(), name, name)


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
    try:
        with open_regular(path) as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            stream.seek(0)
            # By its bytes, not by its path: the ending of a name says nothing about what is in it.
            waveform, rate = _decode(stream, shown)
    except FileNotFoundError:
        raise AudioError(f"no recording at {shown}", remedy="check the path") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise AudioError(f"cannot read {shown}: {reason}", expected=FORMATS) from None
    return _recording(waveform, rate, sha256, path.name, shown)


def _decode(stream: BytesIO | FileIO, shown: str) -> tuple[NDArray[np.float32], int]:
    """Return mono samples (n,) and their rate: by libsndfile, or by FFmpeg what that knows not."""
    from soundfile import LibsndfileError, SoundFile

    try:
        # Not the stream itself: its name would say what it holds.
        with SoundFile(_nameless(stream), closefd=False) as sound:
            _check_header(sound, shown)
            return _mono(sound, shown), int(sound.samplerate)
    except LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        if error.code != _UNKNOWN_FORMAT:
            raise AudioError(
                f"{shown} does not open as audio ({reason})", expected=FORMATS
            ) from None
    stream.seek(0)
    decoded = decode_with_av(stream, shown, LONGEST_S)
    if decoded is None:
        raise AudioError(
            f"{shown} does not open as audio ({reason})", expected=FORMATS, remedy=CONVERT
        )
    return decoded


def _nameless(stream: BytesIO | FileIO) -> BytesIO | int:
    return stream if isinstance(stream, BytesIO) else stream.fileno()


def _recording(
    waveform: NDArray[np.float32], rate: int, sha256: str, name: str, shown: str
) -> Recording:
    _check_content(waveform, rate, shown)
    peak, scaled_from = float(np.abs(waveform).max()), None
    if peak > _LOUDEST:
        waveform, scaled_from = waveform / np.float32(_WHOLE_NUMBERS), peak
    return Recording(waveform, rate, sha256, len(waveform) / rate, name, scaled_from)


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
    if max(-low, high) > _WHOLE_NUMBERS:
        raise AudioError(
            f"{shown} holds samples of up to {max(-low, high):.3g}",
            expected="full scale 1, or whole numbers of 16 bits",
            remedy="export it again, for instance as 16-bit WAV",
        )
    if max(-low, high) < SILENT_PEAK:
        raise AudioError(
            f"{shown} is silent (its peak is below -80 dB of full scale)",
            remedy="use a recording in which something can be heard",
        )
