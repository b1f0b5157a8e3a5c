"""The published preprocessing, against its own numbers."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from parity_inputs import DATA, SUBSAMPLED

from s2s_map.config.model import IMAGENET_MEAN, IMAGENET_STD
from s2s_map.encoding.exact import centre_crop, resize_patches


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    """Red, green, blue (3, 1300, 1300): smooth, with noise."""
    side = 1300
    y, x = np.mgrid[0:side, 0:side] / float(side)
    smooth = np.stack([np.sin(9 * x + 4 * y), np.cos(13 * y - 2 * x), np.sin(30 * x * y)], -1)
    noise = np.random.RandomState(zlib.crc32(b"input:photo")).standard_normal((side, side, 3))
    return np.moveaxis(np.clip(127.5 + 90 * smooth + 12 * noise, 0, 255).astype(np.uint8), -1, 0)


@pytest.mark.parametrize("zoom", [1, 3, 5])
@pytest.mark.parametrize(("sensor", "patch_px"), [("sentinel", 256), ("bingmap", 300)])
def test_equal_to_the_published_preprocessing(
    photo: NDArray[np.uint8], sensor: str, patch_px: int, zoom: int
) -> None:
    patch = resize_patches(centre_crop(photo, patch_px * zoom)[None], 224)[0]
    mean, std = (
        np.array(v, dtype=np.float32)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD)
    )
    normalised = (patch.astype(np.float32) / 255 - mean) / std
    with np.load(DATA / "golden.npz") as golden:
        expected = golden[f"photo_{sensor}_z{zoom}"]
    np.testing.assert_allclose(normalised[SUBSAMPLED["photo_"]], expected, atol=1e-4)


def test_an_image_that_is_too_small_is_padded_with_black() -> None:
    padded = centre_crop(np.full((3, 4, 7), 9, dtype=np.uint8), 7)
    assert padded.shape == (3, 7, 7)
    assert padded[0, :, 0].tolist() == [0, 9, 9, 9, 9, 0, 0]
