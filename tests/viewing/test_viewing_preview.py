"""The preview as pixels: maps, legends and notes are there, whatever the layers."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from fixtures_maps import make_grid, make_imagery, make_layers
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from s2s_map.arrays import ImageBlock
from s2s_map.errors import OutputError
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.viewing.preview import draw_preview, pictures
from s2s_map.viewing.shrinking import shrink_image, shrink_mean

CREDITS = "Imagery: U.S. Geological Survey. Model: s2s-mini."


def pixels(path: Path) -> NDArray[np.float32]:
    return np.asarray(matplotlib.image.imread(path), dtype=np.float32)


@pytest.mark.parametrize(
    ("shape", "count", "slots"),
    [
        ((90, 70), 5, 1),
        ((312, 340), 20, 1),
        ((600, 40), 3, 1),
        ((30, 500), 2, 1),
        ((50, 50), 2, 3),
    ],
)
def test_draws_any_number_and_shape(
    tmp_path: Path, shape: tuple[int, int], count: int, slots: int
) -> None:
    grid = make_grid(shape)
    layers = make_layers(grid, count, slots)
    labels = [f"m{i:02d}-h06" for i in range(slots)]
    path = tmp_path / "preview.png"
    draw_preview(path, make_imagery(grid), pictures(layers, labels), grid, CREDITS, "demo")
    picture = pixels(path)
    assert min(picture.shape[:2]) > 500
    assert max(picture.shape[:2]) < 4000
    margin = np.concatenate([picture[:20].reshape(-1, 4), picture[:, -20:].reshape(-1, 4)])
    assert (margin == 1.0).all()
    # Bright and dark ends of the ramp are both on the page.
    red, _, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    assert ((red > 0.9) & (blue > 0.6) & (blue < 0.8)).sum() > 100
    assert ((red > 0.6) & (red < 0.9) & (blue > 0.4) & (blue < 0.55)).sum() > 100
    assert [p.name for p in tmp_path.iterdir()] == ["preview.png"]


def test_imagery_alone_and_maps_without_data(tmp_path: Path) -> None:
    grid = make_grid()
    draw_preview(tmp_path / "a.png", make_imagery(grid), [], grid, CREDITS, "demo")
    empty = np.full((1, *grid.shape), np.nan, dtype=np.float32)
    nothing = ImageBlock(
        np.zeros((3, *grid.shape), dtype=np.uint8), np.zeros(grid.shape, dtype=np.bool_)
    )
    layer = ConceptLayer("a", "nothing", {}, empty, empty)
    draw_preview(tmp_path / "b.png", nothing, pictures([layer]), grid, CREDITS, "demo")
    assert pixels(tmp_path / "b.png").std() > 0


@pytest.mark.parametrize(
    "title",
    ["$x^2$ and $", "鳥の声", "a" * 300, "birds_and_{insects}", "100 % \\frac{1}"],
)
def test_any_text_is_text(tmp_path: Path, title: str) -> None:
    grid = make_grid()
    (layer,) = make_layers(grid, count=1)
    odd = ConceptLayer("a", title, {}, layer.probability, layer.similarity)
    draw_preview(tmp_path / "a.png", make_imagery(grid), pictures([odd]), grid, title, title)
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_other_shapes_and_places_are_refused(tmp_path: Path) -> None:
    grid = make_grid()
    with pytest.raises(ValueError, match="a preview of a grid of"):
        draw_preview(tmp_path / "a.png", make_imagery(make_grid((4, 40))), [], grid, "", "")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        draw_preview(tmp_path / "file" / "a.png", make_imagery(grid), [], grid, "", "demo")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30))
def test_shrinking_keeps_means_and_leaves_out_no_data(ny: int, nx: int, most: int) -> None:
    rng = np.random.default_rng(ny * nx)
    values = rng.random((ny, nx)).astype(np.float32)
    values[rng.random((ny, nx)) < 0.3] = np.nan
    small, factor = shrink_mean(values, most)
    assert max(small.shape) <= most
    assert small.shape == (-(-ny // factor), -(-nx // factor))
    first = values[:factor, :factor]
    if np.isfinite(first).any():
        assert small[0, 0] == pytest.approx(np.nanmean(first), rel=1e-5)
    else:
        assert np.isnan(small[0, 0])


def test_imagery_is_stretched_without_changing_hues() -> None:
    grid = make_grid()
    image = make_imagery(grid)
    rgba, factor = shrink_image(image, 1000)
    assert factor == 1
    np.testing.assert_array_equal(rgba[..., 3] == 255, image.valid)
    shown = rgba[..., :3][image.valid].astype(float)
    assert shown.min() == 0
    assert shown.max() == 255
    grey = ImageBlock(np.repeat(image.pixels[:1], 3, axis=0), image.valid)
    rgba, _ = shrink_image(grey, 1000)
    np.testing.assert_array_equal(rgba[..., 0], rgba[..., 2])
