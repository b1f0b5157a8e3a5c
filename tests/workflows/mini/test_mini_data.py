"""Patches, augmentation and captions that training draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from s2s_map.errors import DataError
from s2s_mini.augment import augment
from s2s_mini.batches import token_cover
from s2s_mini.config import AugmentConfig
from s2s_mini.scenes import Patches, TrainingScene
from s2s_mini.texts import CaptionFile, CaptionSampler, encode_texts

STILL = AugmentConfig(
    brightness=0,
    contrast=0,
    gamma=0,
    channel=0,
    haze=0,
    noise=0,
    hole_rate=0,
    water_tint_rate=0,
)


def write_scene(path: Path, side: int = 80) -> Path:
    random = np.random.default_rng(0)
    cover = np.zeros((3, side, side), np.uint8)
    cover[0, :, : side // 2] = 255
    cover[1, :, side // 2 :] = 255
    np.savez(
        path,
        rgb=random.integers(0, 255, (3, side, side), dtype=np.uint8),
        valid=np.ones((side, side), bool),
        cover=cover,
        labels=cover.argmax(axis=0).astype(np.uint8),
        gsd_m=30.0,
    )
    return path


@pytest.fixture
def scene(tmp_path: Path) -> TrainingScene:
    return TrainingScene.load(write_scene(tmp_path / "scene.npz"))


def test_held_out_rows_are_never_seen(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "scene.npz")
    scene = TrainingScene.load(path, held_out_rows=((40, 80),))
    patch = scene.cut(30, 0, 40, 40)
    assert patch.valid[0, 0, :10].min() == 1
    assert patch.valid[0, 0, 11:].max() == 0
    assert patch.cover[0, :, 11:].max() == 0
    # Held-out pixels hold the mean of the others, not their own values.
    assert patch.pixels[0, :, 12:].std(dim=(1, 2)).max() < 1e-6


def test_a_window_over_the_edge_is_filled_and_marked(scene: TrainingScene) -> None:
    patch = scene.cut(-10, -10, 40, 40)
    assert patch.valid[0, 0, :9].max() == 0
    assert patch.valid[0, 0, 10:, 10:].min() == 1
    torch.testing.assert_close(
        patch.pixels[0, :, 0, 0], patch.pixels[0, :, 10:, 10:].mean(dim=(1, 2)), atol=1e-3, rtol=0
    )


def test_a_random_patch_is_the_same_for_the_same_generator(scene: TrainingScene) -> None:
    patches = [
        scene.random_patch(np.random.default_rng(5), (20.0, 24.0), 56).pixels for _ in range(2)
    ]
    assert torch.equal(*patches)
    assert patches[0].shape == (1, 3, 56, 56)


def test_a_scene_without_usable_pixels_is_an_error(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "scene.npz")
    scene = TrainingScene.load(path, held_out_rows=((0, 80),))
    with pytest.raises(DataError, match="usable pixels"):
        scene.random_patch(np.random.default_rng(0), (20.0, 24.0), 56)


def test_a_missing_scene_and_a_missing_field_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no training scene"):
        TrainingScene.load(tmp_path / "none.npz")
    np.savez(tmp_path / "half.npz", rgb=np.zeros((3, 2, 2), np.uint8))
    with pytest.raises(DataError, match="lacks cover, gsd_m, labels, valid"):
        TrainingScene.load(tmp_path / "half.npz")


def test_no_augmentation_changes_nothing(scene: TrainingScene) -> None:
    patch = scene.cut(0, 0, 56, 56)
    after = augment(patch, STILL, water=0)
    torch.testing.assert_close(after.pixels, patch.pixels.clamp(min=1e-4), atol=1e-6, rtol=1e-5)
    assert torch.equal(after.cover, patch.cover)


def test_augmented_pixels_stay_in_range_and_holes_lose_their_cover(scene: TrainingScene) -> None:
    torch.manual_seed(0)
    patch = Patches.stack([scene.cut(0, 0, 56, 56)] * 16)
    after = augment(patch, AugmentConfig(hole_rate=1.0, water_tint_rate=1.0), water=0)
    assert after.pixels.min() >= 0
    assert after.pixels.max() <= 1
    hole = after.valid[:, 0] < 0.5
    assert hole.any()
    assert after.cover.sum(dim=1)[hole].max() == 0


def test_only_water_is_tinted(scene: TrainingScene) -> None:
    torch.manual_seed(0)
    patch = scene.cut(0, 0, 80, 80)
    tinted = augment(patch, STILL.model_copy(update={"water_tint_rate": 1.0}), water=0)
    change = (tinted.pixels - patch.pixels).abs().amax(dim=1)[0]
    assert change[:, :39].mean() > 0.02
    assert change[:, 41:].max() < 1e-3


def test_token_cover_is_zero_where_imagery_is_invalid(scene: TrainingScene) -> None:
    patch = scene.cut(-28, 0, 56, 56)
    cover = token_cover(patch, 7)
    assert cover.shape == (1, 49, 3)
    assert cover[0, :21].max() == 0
    torch.testing.assert_close(cover[0, 28:].sum(dim=1), torch.ones(21))


WEIGHTS = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.6, 0.4], [0.0, 0.0]])


def test_rare_covers_are_drawn_as_often_as_common_ones() -> None:
    torch.manual_seed(0)
    sampler = CaptionSampler(WEIGHTS)
    drawn = torch.cat([sampler.draw(1) for _ in range(2000)])
    first, second = WEIGHTS[drawn].sum(dim=0).tolist()
    assert first == pytest.approx(second, rel=0.4)


def test_captions_match_the_shares() -> None:
    torch.manual_seed(0)
    sampler = CaptionSampler(WEIGHTS)
    shares = torch.tensor([[0.0, 1.0]] * 50)
    assert set(sampler.match(shares).tolist()) == {3}
    assert 5 not in sampler.match(torch.tensor([[0.5, 0.5]] * 200)).tolist()


def test_short_texts_repeat_their_first_token() -> None:
    class Letters:
        dim = 1

        def tokens(self, text: str) -> torch.Tensor:
            return torch.tensor([float(ord(c)) for c in text]).reshape(1, -1, 1)

    features = encode_texts(Letters(), ("ab", "cde"))
    assert features[0, :, 0].tolist() == [97, 98, 97]


def test_captions_with_the_wrong_number_of_weights_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_text(
        '{"covers": ["a"], "held_out": {}, "captions": [{"text": "x", "weights": [1, 0]}]}'
    )
    with pytest.raises(DataError, match="1 weights for each caption"):
        CaptionFile.load(path)
    with pytest.raises(DataError, match="no captions"):
        CaptionFile.load(tmp_path / "none.json")
