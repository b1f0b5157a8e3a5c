"""Recordings of phones and browsers: real files, encoded by the library that reads them."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from fixtures_encoding import made_up_sound
from numpy.typing import NDArray

from s2s_map.encoding.audio_file import decode_recording, read_recording
from s2s_map.errors import AudioError

RATE = 48_000


def write_phone_sound(path: Path, codec: str, samples: NDArray[np.float32]) -> Path:
    """Write samples (channels, n) in the container that the ending names."""
    layout = "stereo" if len(samples) == 2 else "mono"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout=layout)
        step = 1024
        for start in range(0, samples.shape[1] - step, step):
            block = np.ascontiguousarray(samples[:, start : start + step])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.3gp", "aac"), ("a.webm", "libopus")]
)
def test_a_recording_of_a_phone_is_read(tmp_path: Path, name: str, codec: str) -> None:
    """Twice the sound on the left and none on the right: their mean is the sound itself."""
    sound = (0.2 * np.sin(2 * np.pi * 1500 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    path = write_phone_sound(tmp_path / name, codec, np.stack([2 * sound, 0 * sound]))
    found = read_recording(path)
    assert (found.rate, found.name) == (RATE, name)
    # Encoders add some frames of silence at both ends.
    assert abs(found.seconds - 2.0) < 4096 / RATE
    spectrum = np.abs(np.fft.rfft(found.waveform))
    loudest = np.fft.rfftfreq(len(found.waveform), 1 / RATE)[spectrum.argmax()]
    assert abs(loudest - 1500) < 5
    power = float(np.mean(found.waveform.astype(np.float64) ** 2))
    assert power == pytest.approx(float(np.mean(sound.astype(np.float64) ** 2)), rel=0.2)


def test_the_same_out_of_memory(tmp_path: Path) -> None:
    path = write_phone_sound(tmp_path / "a.m4a", "aac", made_up_sound(1.0, RATE)[None])
    again = decode_recording(path.read_bytes(), "a.m4a")
    np.testing.assert_array_equal(again.waveform, read_recording(path).waveform)
    assert again.sha256 == read_recording(path).sha256


def test_without_the_library_the_line_says_how_to_convert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_phone_sound(tmp_path / "a.m4a", "aac", made_up_sound(1.0, RATE)[None])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError, match=r"ffmpeg -i .*s2s-map\[recordings\]"):
        read_recording(path)


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.mp3\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<html>not a sound</html>",
        b"",
    ],
)
def test_what_names_other_files_is_not_opened(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.m4a"
    path.write_bytes(content)
    with pytest.raises(AudioError) as error:
        read_recording(path)
    assert "\n" not in str(error.value)


def test_a_truncated_file_is_one_line(tmp_path: Path) -> None:
    path = write_phone_sound(tmp_path / "a.m4a", "aac", made_up_sound(2.0, RATE)[None])
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(AudioError, match=r"a\.m4a") as error:
        read_recording(path)
    assert "\n" not in str(error.value)


def test_a_film_without_sound(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame(32, 32, "yuv420p")
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    with pytest.raises(AudioError, match="holds no sound"):
        read_recording(tmp_path / "a.mp4")
