from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from fixtures_encoding import made_up_sound, write_sound

from s2s_map.encoding.audio_file import read_recording
from s2s_map.errors import AudioError


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_reads_the_usual_formats(tmp_path: Path, ending: str) -> None:
    path = write_sound(tmp_path / f"sound.{ending}", made_up_sound(2.0))

    recording = read_recording(path)

    assert recording.rate == 16_000
    assert recording.waveform.dtype == np.float32
    assert recording.waveform.ndim == 1
    assert recording.seconds == pytest.approx(2.0, abs=0.2)
    assert recording.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert recording.name == path.name
    assert 0.15 < np.abs(recording.waveform).max() < 0.4


def test_reads_48_khz_stereo_as_the_mean_of_its_channels(tmp_path: Path) -> None:
    left = made_up_sound(1.0, 48_000)
    path = write_sound(tmp_path / "stereo.wav", np.stack([left, np.zeros_like(left)], 1), 48_000)

    recording = read_recording(path)

    assert recording.rate == 48_000
    np.testing.assert_allclose(recording.waveform, left / 2, atol=1e-7)


def test_reads_ten_minutes(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "long.flac", np.tile(made_up_sound(10.0), 60))

    assert read_recording(path).seconds == pytest.approx(600)


def test_reads_a_file_by_its_bytes_not_its_ending(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "sound.wav", made_up_sound(1.0)).rename(tmp_path / "sound.raw")

    assert read_recording(path).seconds == pytest.approx(1.0)


def test_reads_the_sample_recording() -> None:
    recording = read_recording("sample:owl.mp3")

    assert recording.name == "owl.mp3"
    assert recording.rate == 48_000
    assert recording.seconds == pytest.approx(8.5, abs=0.1)


def test_reads_only_what_is_there_of_a_file_that_was_cut_off(tmp_path: Path) -> None:
    whole = write_sound(tmp_path / "whole.mp3", made_up_sound(4.0)).read_bytes()
    path = tmp_path / "cut.mp3"
    path.write_bytes(whole[: len(whole) // 2])

    first, second = read_recording(path), read_recording(path)

    assert 1 < first.seconds < 3
    assert np.abs(first.waveform).max() < 0.4
    np.testing.assert_array_equal(first.waveform, second.waveform)


def _refused(path: Path | str) -> str:
    with pytest.raises(AudioError) as caught:
        read_recording(path)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    assert "no recording at" in _refused(tmp_path / "none.wav")


def test_refuses_a_folder(tmp_path: Path) -> None:
    assert "cannot read" in _refused(tmp_path)


def test_refuses_an_unknown_sample_and_names_the_known() -> None:
    message = _refused("sample:../../secret.wav")
    assert "no sample recording" in message
    assert "sample:owl.mp3" in message


@pytest.mark.parametrize("content", [b"", b"just a text\n" * 50, b"RIFF\x00\x00"])
@pytest.mark.parametrize("ending", ["wav", "mp3", "txt"])
def test_refuses_what_is_not_audio(tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"file.{ending}"
    path.write_bytes(content)

    assert "WAV, FLAC, OGG or MP3" in _refused(path)


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_refuses_no_length(tmp_path: Path, seconds: float) -> None:
    path = write_sound(tmp_path / "short.wav", made_up_sound(seconds))

    assert "lasts" in _refused(path)


def test_refuses_silence(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "silent.wav", made_up_sound(1.0) * np.float32(1e-4))

    assert "silent" in _refused(path)


def test_refuses_channels_that_cancel_out(tmp_path: Path) -> None:
    left = made_up_sound(1.0)
    path = write_sound(tmp_path / "opposite.wav", np.stack([left, -left], 1))

    assert "silent" in _refused(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_numbers_that_are_none(tmp_path: Path, value: float) -> None:
    samples = made_up_sound(1.0)
    samples[500] = value

    assert "not numbers" in _refused(write_sound(tmp_path / "nan.wav", samples))


def test_refuses_more_than_an_hour(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "day.flac", np.zeros(4000 * 3601, np.float32), 4000)

    assert "longer than 60 minutes" in _refused(path)


def test_refuses_a_rate_that_is_too_low(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "slow.wav", made_up_sound(1.0, 1000), 1000)

    assert "samples a second" in _refused(path)


@pytest.mark.parametrize("factor", [32_768.0, 20_000.0])
def test_whole_numbers_as_floating_point_are_scaled(tmp_path: Path, factor: float) -> None:
    """16-bit numbers written as floating point, unscaled, as some programs do."""
    sound = made_up_sound(1.0)
    loud = sound / np.abs(sound).max() * np.float32(factor)
    found = read_recording(write_sound(tmp_path / "a.wav", loud))
    np.testing.assert_array_equal(found.waveform, loud / np.float32(32_768))
    assert found.scaled_from == float(np.abs(loud).max())


def test_amplified_sound_stays_as_it_is(tmp_path: Path) -> None:
    loud = made_up_sound(1.0) * np.float32(16)
    found = read_recording(write_sound(tmp_path / "a.wav", loud))
    np.testing.assert_array_equal(found.waveform, loud)
    assert found.scaled_from is None


def test_samples_far_beyond_full_scale_are_refused(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", made_up_sound(1.0) * np.float32(1e30))
    with pytest.raises(AudioError, match=r"samples of up to .*e"):
        read_recording(path)
