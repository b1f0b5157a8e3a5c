"""One map as a Matplotlib figure, over the imagery: for a notebook or a paper."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from s2s_map.arrays import ImageBlock
from s2s_map.rasters.colours import shades
from s2s_map.viewing.preview import MapPicture, length_text, round_length
from s2s_map.viewing.shrinking import shrink_image, shrink_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_MOST_PIXELS = 1200
_WIDTH_IN = 6.5
_LINE = 110
_SHADES = 256
_NO_DATA = "#e4e4e4"
_QUIET = "#666666"


def draw_figure(
    picture: MapPicture,
    imagery: ImageBlock | None,
    extent_m: tuple[float, float, float, float],
    attribution: str,
    axes: Axes | None = None,
) -> Figure:
    """Draw one map, its low values transparent, with colour bar, scale bar and attribution.

    Args:
        picture: The map.
        imagery: What lies below, of the same extent; None for a plain ground.
        extent_m: (minx, miny, maxx, maxy) of the map in metres of its CRS; the axes' coordinates.
        attribution: Whose imagery and model, below the map.
        axes: Where to draw; a figure of its own, 6.5 inches wide, if None.

    Returns:
        The figure, which belongs to no window: save it, or let a notebook show it.
    """
    from matplotlib.figure import Figure

    west, south, east, north = extent_m
    if axes is None:
        height = _WIDTH_IN * min(max((north - south) / (east - west), 0.3), 1.5) + 1.2
        figure = Figure(figsize=(_WIDTH_IN, height), layout="compressed")
        axes = figure.add_subplot()
    found = axes.get_figure()
    assert isinstance(found, Figure)  # noqa: S101  (axes of a subfigure have its figure as root)
    axes.set(xticks=[], yticks=[], facecolor=_NO_DATA, aspect="equal")
    sides = (west, east, south, north)
    if imagery is not None:
        axes.imshow(shrink_image(imagery, _MOST_PIXELS)[0], extent=sides, interpolation="nearest")
    cells, _ = shrink_mean(picture.cells, _MOST_PIXELS)
    low, high = picture.colour_range
    drawn = axes.imshow(
        np.ma.masked_invalid(cells),
        cmap=transparent_magma() if imagery is not None else "magma",
        vmin=low,
        vmax=high,
        extent=sides,
        interpolation="nearest",
    )
    axes.set_title(picture.title, loc="left", weight="bold", parse_math=False)
    bar = found.colorbar(drawn, ax=axes, orientation="horizontal", extend="both", shrink=0.7)
    ticks = (low, (low + high) / 2, high)
    bar.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    label = "; ".join((picture.label, *filter(None, picture.remark.splitlines())))
    bar.set_label(label, color=_QUIET)
    _add_scale_bar(axes, east - west)
    lines = textwrap.fill(attribution, _LINE)
    axes.set_xlabel(lines, size=6, color=_QUIET, parse_math=False)
    return found


def transparent_magma() -> Colormap:
    """Return the ramp of the maps with its opacity, as QGIS and the page in the browser draw it."""
    from matplotlib.colors import ListedColormap

    return ListedColormap(shades(_SHADES) / (255, 255, 255, 1), name="magma-over-imagery")


def _add_scale_bar(axes: Axes, width_m: float) -> None:
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    length = round_length(0.25 * width_m)
    bar = AnchoredSizeBar(
        axes.transData,
        length,
        length_text(length),
        loc="lower left",
        frameon=True,
        pad=0.3,
        sep=3,
        fill_bar=True,
        size_vertical=width_m / 250,
    )
    bar.patch.set(alpha=0.8, linewidth=0)
    axes.add_artist(bar)
