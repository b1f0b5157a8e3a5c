"""One map as a figure."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_maps import make_grid, make_imagery, make_layers
from matplotlib.figure import Figure

from s2s_map.rasters.colours import MAGMA, opacity, rgb
from s2s_map.viewing.figure import draw_figure, transparent_magma
from s2s_map.viewing.preview import pictures


def test_low_values_let_the_imagery_through() -> None:
    shades = transparent_magma()([0.0, 0.5, 1.0])
    np.testing.assert_allclose(shades[:, 3], [opacity(v) for v in (0.0, 0.5, 1.0)], atol=1 / 128)
    assert shades[0, 3] == 0
    np.testing.assert_allclose(shades[-1, :3] * 255, rgb(MAGMA[-1]), atol=1e-6)


@pytest.mark.parametrize("shape", [(90, 70), (1, 1), (3, 400)])
def test_map_imagery_and_legend_are_of_one_extent(shape: tuple[int, int]) -> None:
    grid = make_grid(shape)
    layers = make_layers(grid, 1)
    if shape == (1, 1):
        layers[0].probability[:] = np.nan
    (picture,) = pictures(layers, ["any"])
    figure = draw_figure(picture, make_imagery(grid), grid.bounds, "courtesy of $x$")
    axes, bar = figure.axes
    west, south, east, north = grid.bounds
    assert [image.get_extent() for image in axes.images] == [[west, east, south, north]] * 2
    assert axes.get_title(loc="left") == "birdsong"
    assert axes.get_xlabel() == "courtesy of $x$"
    assert "softmax, uncalibrated" in bar.get_xlabel()
    low, high = layers[0].colour_range
    np.testing.assert_allclose(bar.get_xticks(), [low, (low + high) / 2, high])
    figure.canvas.draw()
    # Nothing is cut off.
    seen = figure.get_tightbbox()
    assert seen.ymax <= figure.get_figheight()
    assert seen.ymin >= 0


def test_it_draws_where_it_is_told_to() -> None:
    grid = make_grid()
    (picture,) = pictures(make_layers(grid, 1), ["any"])
    mine = Figure()
    axes = mine.add_subplot()
    assert draw_figure(picture, None, grid.bounds, "", axes) is mine
    assert len(axes.images) == 1
