from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from fixtures_encoding import MINI, HashModel, made_up_sound
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.encoding.audio_file import read_recording
from s2s_map.errors import AudioError, CheckpointError, ModelError, QueryError
from s2s_map.models.events.card import read_events_card
from s2s_map.models.events.encoder import EventMixEncoder, event_weights
from s2s_map.models.events.features import log_mel, mel_filters
from s2s_map.models.events.loudness import loudness
from s2s_map.models.events.tagger import SHORTEST_S, WINDOW_S, EventTagger, windows

GOLDEN = np.load(Path(__file__).parents[2] / "data" / "audio" / "golden.npz")
CLIP = (GOLDEN["clip"] / 32768).astype(np.float32)


@pytest.fixture(scope="module")
def tagger() -> EventTagger:
    return EventTagger.load(MINI, read_events_card(MINI))


@pytest.fixture(scope="module")
def model() -> HashModel:
    return HashModel()


def test_mel_is_that_of_the_source() -> None:
    mel = log_mel(CLIP, mel_filters())

    assert mel.shape == (len(CLIP) // 160 + 1, 64)
    np.testing.assert_allclose(mel[::10], GOLDEN["mel_every_10th"], atol=2e-3)


def test_network_tags_as_the_source(tagger: EventTagger) -> None:
    card = tagger.card
    mel = (log_mel(CLIP, mel_filters()) - np.array(card.mel_mean_db)) / np.array(card.mel_std_db)
    sones = (GOLDEN["loudness"] - card.loudness_mean_sone) / card.loudness_std_sone

    with torch.inference_mode():
        logits = tagger.network(
            torch.tensor(mel[None], dtype=torch.float32),
            torch.tensor(sones[None], dtype=torch.float32),
        )

    assert [event.name for event in card.events] == GOLDEN["events"].tolist()
    np.testing.assert_allclose(torch.sigmoid(logits)[0], GOLDEN["probability"], atol=2e-3)


def test_loudness_is_near_that_of_iso_532() -> None:
    sones = loudness(CLIP)
    expected = GOLDEN["loudness"]
    count = min(len(sones), len(expected))

    assert len(sones) == len(CLIP) // 32
    assert sones.mean() == pytest.approx(expected.mean(), rel=0.1)
    assert np.corrcoef(sones[:count], expected[:count])[0, 1] > 0.95


def test_a_tone_of_60_db_at_1_khz_is_near_4_sones() -> None:
    amplitude = np.sqrt(2) * 20e-6 * 10 ** (60 / 20) / 2.8358
    tone = amplitude * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)

    assert loudness(tone.astype(np.float32))[250:].mean() == pytest.approx(4, rel=0.25)


def test_a_short_recording_is_repeated_and_a_long_one_cut() -> None:
    assert [len(w) for w in windows(made_up_sound(0.1), 16_000)] == [SHORTEST_S * 16_000]
    assert [len(w) for w in windows(made_up_sound(12), 16_000)] == [12 * 16_000]
    assert [len(w) for w in windows(made_up_sound(31), 16_000)] == 2 * [WINDOW_S * 16_000]
    assert len(list(windows(made_up_sound(70), 16_000))) == 3
    assert len(list(windows(np.tile(made_up_sound(10), 61), 16_000))) == 20
    assert len(list(windows(np.tile(made_up_sound(10), 90), 16_000))) == 20


def test_windows_reach_from_start_to_end() -> None:
    ramp = np.arange(1, 4000 * 100, dtype=np.float32)
    cut = list(windows(ramp, 4000))

    assert cut[0][0] == ramp[0]
    assert cut[-1][-1] == ramp[-1]
    assert all(b[0] <= a[-1] + 1 for a, b in pairwise(cut))


def test_silent_windows_do_not_count(tagger: EventTagger) -> None:
    sound = np.resize(made_up_sound(10), 30 * 16_000)
    with_pause = np.concatenate([sound, np.zeros(30 * 16_000, np.float32), sound])

    expected, _ = tagger.tag(sound, 16_000)
    found, count = tagger.tag(with_pause, 16_000)

    assert count == 2
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_higher_rates_are_heard_alike(tagger: EventTagger, rate: int) -> None:
    sound = np.asarray(soxr.resample(CLIP, 16_000, rate), dtype=np.float32)
    expected, _ = tagger.tag(CLIP, 16_000)
    found, _ = tagger.tag(sound, rate)

    assert np.abs(found - expected).max() < 0.1


@pytest.mark.slow  # ten minutes of sound through the real tagger
def test_ten_minutes_in_stereo_quality(model: HashModel) -> None:
    sound = np.resize(made_up_sound(10, 48_000), 600 * 48_000)

    embedded = model.embed_recording(sound, 48_000)

    assert embedded.details["windows"] == 20
    assert np.linalg.norm(embedded.vector) == pytest.approx(1, abs=1e-6)


def test_the_owl_is_heard_as_an_animal(model: HashModel) -> None:
    recording = read_recording("sample:owl.mp3")

    details = model.embed_recording(recording.waveform, recording.rate).details

    assert details["probability"]["Animal"] > 0.9
    assert details["weight"]["Animal"] == max(details["weight"].values())
    assert details["stands_out"]
    assert sum(details["weight"].values()) == pytest.approx(1, abs=0.01)
    json.dumps(details)


def test_an_embedding_is_a_positive_mix_of_codes(model: HashModel) -> None:
    vector = model.embed_recording(CLIP, 16_000).vector

    weights = np.linalg.lstsq(model.codes.T, vector, rcond=None)[0]

    np.testing.assert_allclose(weights @ model.codes, vector, atol=1e-5)
    assert weights.min() > -1e-5


def test_a_mix_of_one_event_is_the_mean_of_its_texts(model: HashModel) -> None:
    texts = next(event.texts for event in model.audio_encoder.card.events if event.name == "Bird")
    mean = np.mean([model.embed_text(text) for text in texts], axis=0)

    vector = model.audio_encoder.mix({"Bird": 3.0})

    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)


@pytest.mark.parametrize(
    ("mix", "problem"),
    [({"Brid": 1.0}, "unknown sound event"), ({"Bird": -1.0}, "weights"), ({}, "weights")],
)
def test_refuses_other_mixes(model: HashModel, mix: dict[str, float], problem: str) -> None:
    with pytest.raises(QueryError, match=problem):
        model.audio_encoder.mix(mix)


probabilities = st.lists(st.floats(0, 1), min_size=15, max_size=15)


@given(probabilities, st.lists(st.floats(0, 0.9), min_size=15, max_size=15))
def test_weights_sum_to_one_and_leave_out_what_noise_gives(
    probability: list[float], reference: list[float]
) -> None:
    p, r = np.array(probability), np.array(reference)

    weights = event_weights(p, r)

    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    if ((p - r) / (1 - r)).max() >= 1e-6:
        assert weights[p <= r].sum() == 0


@pytest.mark.parametrize(
    "waveform", [np.zeros(16_000), np.zeros(0), np.full(16_000, np.nan), np.ones((100, 2))]
)
def test_refuses_nothing_to_hear(model: HashModel, waveform: np.ndarray) -> None:
    with pytest.raises(AudioError) as caught:
        model.embed_recording(waveform.astype(np.float32), 16_000)
    assert "\n" not in str(caught.value)


def _folder(tmp_path: Path) -> Path:
    for name in ("events.json", "events.safetensors"):
        shutil.copy(MINI / name, tmp_path / name)
    return tmp_path


def test_refuses_damaged_weights(tmp_path: Path, model: HashModel) -> None:
    path = _folder(tmp_path) / "events.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    with pytest.raises(CheckpointError, match="SHA-256"):
        EventMixEncoder.from_folder(tmp_path, model.embed_text).embed(CLIP, 16_000)


def test_refuses_a_folder_without_a_card(tmp_path: Path, model: HashModel) -> None:
    with pytest.raises(CheckpointError, match=r"no events\.json"):
        EventMixEncoder.from_folder(tmp_path, model.embed_text)


def test_refuses_a_card_that_does_not_validate(tmp_path: Path, model: HashModel) -> None:
    path = _folder(tmp_path) / "events.json"
    path.write_text(path.read_text().replace("mel_mean_db", "mel_means"))

    with pytest.raises(ModelError, match=r"events\.json"):
        EventMixEncoder.from_folder(tmp_path, model.embed_text)


def test_the_weights_are_small() -> None:
    assert (MINI / "events.safetensors").stat().st_size < 6e6
