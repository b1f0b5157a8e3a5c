"""The image encoder of the embedded model."""

from __future__ import annotations

import pytest
import torch

from s2s_map.config.model import MiniImageConfig
from s2s_map.models.image.mini import STATISTIC_WINDOWS, MiniImageEncoder, local_statistics
from s2s_map.models.protocols import ImageEncoder

FINE = torch.tensor([20.0])


@pytest.fixture(scope="module")
def encoder() -> MiniImageEncoder:
    torch.manual_seed(0)
    return MiniImageEncoder(MiniImageConfig(dim=16)).eval()


def pixels(count: int = 1, side: int = 112) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_tokens_have_the_promised_shape(encoder: MiniImageEncoder) -> None:
    with torch.inference_mode():
        tokens = encoder(pixels(2), FINE.expand(2))
    assert tokens.shape == (2, 14 * 14, 16)
    assert isinstance(encoder, ImageEncoder)


def test_an_image_does_not_depend_on_its_batch(encoder: MiniImageEncoder) -> None:
    images = pixels(3)
    with torch.inference_mode():
        together = encoder(images, FINE.expand(3))
        alone = encoder(images[1:2], FINE)
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)


def test_tokens_run_row_by_row(encoder: MiniImageEncoder) -> None:
    plain = torch.zeros(1, 3, 112, 112)
    marked = plain.clone()
    marked[..., 8:16, 96:104] = 3.0  # token row 1, column 12
    with torch.inference_mode():
        change = (encoder(marked, FINE) - encoder(plain, FINE)).norm(dim=2).reshape(14, 14)
    row, column = divmod(int(change.argmax()), 14)
    assert abs(row - 1) <= 1
    assert abs(column - 12) <= 1
    assert change[10:, :5].max() < 1e-5


def test_the_resolution_matters(encoder: MiniImageEncoder) -> None:
    with torch.inference_mode():
        near, far = encoder(pixels(), FINE), encoder(pixels(), FINE * 1.5)
    assert not torch.allclose(near, far)


def test_a_uniform_image_has_its_colour_as_mean_and_no_texture() -> None:
    colour = torch.tensor([0.2, -1.0, 2.0])
    statistics = local_statistics(colour[None, :, None, None].expand(1, 3, 112, 112))
    assert statistics.shape == (1, 6 * len(STATISTIC_WINDOWS) + 2, 14, 14)
    torch.testing.assert_close(statistics[0, :3, 5, 5], colour)
    assert statistics[0, 3:6].max() < 0.01
    assert statistics[0, -2:].max() == 0


def test_statistics_of_the_own_square_are_its_mean_and_deviation() -> None:
    image = pixels()
    square = image[0, :, 16:24, 40:48].flatten(1)
    found = local_statistics(image)[0, :6, 2, 5]
    torch.testing.assert_close(found[:3], square.mean(dim=1))
    torch.testing.assert_close(found[3:], square.std(dim=1, correction=0), atol=1e-4, rtol=1e-4)
