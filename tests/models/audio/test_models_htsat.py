"""The published audio encoder at small size, from recordings to tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures_models import TINY, TINY_HTSAT, fill
from pydantic import ValidationError

from s2s_map.config.model import HtsatConfig
from s2s_map.errors import AudioError, ModelError
from s2s_map.models.audio.encoder import MOST_WINDOWS, HtsatRecordingEncoder
from s2s_map.models.audio.htsat import Htsat
from s2s_map.models.audio.mel import log_mel, mel_filters
from s2s_map.models.audio.swin import SwinBlock, offset_index, region_mask
from s2s_map.models.build import build_model
from s2s_map.models.sat2sound import Sat2Sound

SECOND = 4000
"""Samples of one window of `TINY_HTSAT`."""


@pytest.fixture(scope="module")
def network() -> Sat2Sound:
    network = build_model(TINY.model_copy(update={"audio": TINY_HTSAT}))
    fill(network)
    return network.eval()


@pytest.fixture(scope="module")
def encoder(network: Sat2Sound) -> HtsatRecordingEncoder:
    return HtsatRecordingEncoder(network, TINY_HTSAT)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def test_published_sizes() -> None:
    config = HtsatConfig()
    assert config.widths == (96, 192, 384, 768)
    assert config.grids == (64, 32, 16, 8)
    assert (config.frames, config.chunks) == (1001, 4)
    with pytest.raises(ValidationError, match="does not divide into stages"):
        HtsatConfig(dim=100)
    with pytest.raises(ValidationError, match="do not fit into"):
        HtsatConfig(window_s=11)
    with pytest.raises(ValidationError, match="one each is needed"):
        HtsatConfig(depths=(2, 2))


def test_the_picture_is_time_in_pieces_one_below_the_other() -> None:
    htsat = Htsat(TINY_HTSAT).eval()
    mel = torch.arange(128.0)[:, None] + torch.arange(8) / 10
    with torch.inference_mode():
        htsat.bn0.running_var.fill_(1 - htsat.bn0.eps)
        image = htsat.image(mel[None, None])[0, 0]
    for piece, band, time in ((0, 0, 0), (1, 3, 5), (3, 7, 31)):
        assert image[8 * piece + band, time] == pytest.approx(32 * piece + time + band / 10)


def test_stored_constants_are_those_of_the_spectrogram() -> None:
    constants = Htsat(TINY_HTSAT).audio_feats_extractor.state_dict()
    wave = torch.from_numpy(noise(64))
    real, imaginary = (
        torch.einsum("fon,n->f", constants[f"mel_trans.stft.conv_{part}.weight"], wave)
        for part in ("real", "imag")
    )
    found = (real**2 + imaginary**2) @ constants["log_trans.melW"]
    filters = mel_filters(4000, 64, 8, TINY_HTSAT.mel_range_hz)
    # Reflected at the ends, the frame that starts with the clip is the second half-window on.
    frames = log_mel(wave.numpy(), filters, 32)
    np.testing.assert_allclose(10 * np.log10(found.numpy()), frames[1], rtol=1e-4)


def test_a_shifted_window_does_not_see_across_the_edge() -> None:
    block = SwinBlock(8, grid=4, heads=2, window=2, shift=1).eval()
    torch.nn.init.normal_(block.attn.relative_position_bias_table)
    tokens = torch.randn(1, 16, 8)
    other = tokens.clone()
    other[:, 0] += 5
    with torch.inference_mode():
        changed = (block(tokens) - block(other)).abs().amax(dim=2)[0] > 1e-6
    # The corner token shares its rolled window only with tokens of other regions.
    assert changed.nonzero().flatten().tolist() == [0]


def test_offsets_and_regions() -> None:
    index = offset_index(2)
    assert index.tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    mask = region_mask(4, 2, 1)
    assert mask.shape == (4, 4, 4)
    assert not mask[0].any()
    assert (mask[3] == -100).sum() == 12


def test_a_window_is_filled_with_zeros_at_its_end(encoder: HtsatRecordingEncoder) -> None:
    short = noise(1000)
    np.testing.assert_array_equal(
        encoder.mel(short), encoder.mel(np.append(short, np.zeros(3000, dtype=np.float32)))
    )
    assert encoder.mel(np.zeros(SECOND, dtype=np.float32)) == pytest.approx(-100, abs=1e-3)


def test_a_short_recording_is_one_window(
    network: Sat2Sound, encoder: HtsatRecordingEncoder
) -> None:
    sound = noise(SECOND)
    with torch.inference_mode():
        alone = network.embed_audio(torch.from_numpy(encoder.mel(sound))[None, None])[0]
    found = encoder.embed(sound, SECOND)
    np.testing.assert_allclose(found.vector, alone / alone.norm(), atol=1e-5)
    assert found.details == {"windows": 1, "seconds": 1.0}


def test_a_long_recording_is_the_mean_of_its_windows(encoder: HtsatRecordingEncoder) -> None:
    parts = [noise(SECOND, seed) for seed in range(10)]
    found = encoder.embed(np.concatenate(parts), SECOND)
    mean = np.mean([encoder.embed(part, SECOND).vector for part in parts], axis=0)
    np.testing.assert_allclose(found.vector, mean / np.linalg.norm(mean), atol=1e-5)
    assert found.details["windows"] == 10


def test_every_second_counts_and_silence_does_not(encoder: HtsatRecordingEncoder) -> None:
    sound = noise(SECOND)
    starts = [len(window) for window in encoder.windows(noise(int(2.5 * SECOND)), SECOND)]
    assert starts == [SECOND] * 3
    quiet = np.concatenate([sound, np.zeros(3 * SECOND, dtype=np.float32)])
    np.testing.assert_allclose(
        encoder.embed(quiet, SECOND).vector, encoder.embed(sound, SECOND).vector, atol=1e-5
    )
    hours = np.tile(sound, 2 * MOST_WINDOWS)
    assert sum(1 for _ in encoder.windows(hours, SECOND)) == MOST_WINDOWS


def test_other_rates_are_resampled(encoder: HtsatRecordingEncoder) -> None:
    time = np.arange(2 * SECOND) / (2 * SECOND)
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    fine, coarse = encoder.embed(tone, 2 * SECOND), encoder.embed(tone[::2].copy(), SECOND)
    assert fine.vector @ coarse.vector > 0.99


def test_what_cannot_be_heard_is_refused(
    network: Sat2Sound, encoder: HtsatRecordingEncoder
) -> None:
    with pytest.raises(AudioError, match="a silent recording"):
        encoder.embed(np.zeros(SECOND, dtype=np.float32), SECOND)
    with pytest.raises(AudioError, match="expected finite mono samples"):
        encoder.embed(np.full(SECOND, np.nan, dtype=np.float32), SECOND)
    with pytest.raises(ModelError, match=r"expected \(B, 1, 126, 8\)"):
        network.embed_audio(torch.zeros(1, 1, 100, 8))
