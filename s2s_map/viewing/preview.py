"""``preview.png``: the imagery and every concept's map beside each other."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2s_map.arrays import ImageBlock
from s2s_map.outputs.atomic import replacing_file
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.tiling.grid import MapGrid
from s2s_map.viewing.layout import (
    HEADING_SIZE,
    NOTE_SIZE,
    SUBTITLE_SIZE,
    TITLE_PAD,
    TITLE_SIZE,
    Box,
    Layout,
    Panel,
    arrange,
)
from s2s_map.viewing.shrinking import shrink_image, shrink_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORMAP = "magma"

_DPI = 150
_MOST_PIXELS = 1000
MOST_MAPS = 24
"""Maps in one picture at most."""

_NO_DATA = "#e4e4e4"
_INK = "#222222"
_QUIET = "#666666"


@dataclass(frozen=True, eq=False)
class MapPicture:
    """One map to draw.

    Attributes:
        title: What stands above.
        label: What stands below the colours: what is mapped, by which method.
        cells: Shape (y, x), the cells or the means of squares of them.
        colour_range: Where the colours begin and end.
        remark: What stands across the map, if anything.
    """

    title: str
    label: str
    cells: NDArray[np.float32]
    colour_range: tuple[float, float]
    remark: str = ""


def draw_preview(
    path: str | os.PathLike[str],
    imagery: ImageBlock,
    maps: Sequence[MapPicture],
    grid: MapGrid,
    attribution: str,
    title: str,
    count: int | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Draw the imagery and every layer as small maps of one size, with legends and a scale bar.

    Colours run between the 2nd and the 98th percentile of the concept's cells in all its time
    slots, as in QGIS, and each colour bar names the method. Of more than 24 maps the first 24 are
    drawn, and the picture says so.

    Args:
        path: PNG to make or replace.
        imagery: Imagery of the grid's extent, at most as many pixels as cells.
        maps: Maps of the same extent, see `pictures`; those beyond the 24th are not drawn.
        grid: The cells.
        attribution: Whose imagery and model, for the line at the bottom.
        title: Heading.
        count: How many maps there are, if more than are given.
        remarks: What is off with the imagery, printed before the other notes.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
        ValueError: For maps or imagery of another shape than the grid, or coarser squares of it.
    """
    for shape in (imagery.shape, *(one.cells.shape for one in maps)):
        if not _fits(shape, grid.shape):
            raise ValueError(f"a preview of a grid of {grid.shape} with data of {shape}")
    with replacing_file(path) as partial, warnings.catch_warnings():
        # Queries may hold letters that the font lacks: boxes in a title are no reason to fail.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        layout = arrange(
            grid.shape,
            ["Imagery", *(one.title for one in maps[:MOST_MAPS])],
            title,
            _subtitle(grid),
            [
                *(f"Imagery: {remark}" for remark in remarks),
                _note(len(maps) if count is None else count),
                attribution,
            ],
        )
        figure = _figure(layout)
        _draw_imagery(figure, layout.panels[0], imagery, grid)
        for panel, one in zip(layout.panels[1:], maps, strict=False):
            _draw_map(figure, panel, one)
        figure.savefig(partial, dpi=_DPI, format="png")


def pictures(
    layers: Sequence[ConceptLayer],
    time_slots: Sequence[str] = (),
    read: Callable[[ConceptLayer, int], NDArray[np.float32]] | None = None,
) -> list[MapPicture]:
    """Return what to draw of layers, time slots within layers, at most as many as are drawn.

    Args:
        layers: The layers.
        time_slots: Labels of the time slots, drawn if there are several.
        read: Gives the probability of a time slot, or squares of it; the cells themselves if None.
    """
    found = []
    every = ((layer, index) for layer in layers for index in range(layer.shape[0]))
    for layer, index in islice(every, MOST_MAPS):
        slot = time_slots[index] if index < len(time_slots) else str(index + 1)
        cells = layer.probability[index] if read is None else read(layer, index)
        found.append(picture_of(layer, slot, shrink_mean(cells, _MOST_PIXELS)[0]))
    return found


def picture_of(layer: ConceptLayer, slot: str, cells: NDArray[np.float32]) -> MapPicture:
    """Return what to draw of one time slot of a layer, given its cells or squares of them."""
    title = layer.title if layer.shape[0] == 1 else f"{layer.title} ({slot})"
    remark = "\n".join(layer.doubts)
    return MapPicture(title, layer.probability_label, cells, layer.colour_range, remark)


def _fits(shape: tuple[int, ...], grid: tuple[int, int]) -> bool:
    """Return whether data covers a grid with squares of cells, of a power of 2 or of any side."""
    if shape == grid:
        return True
    side = max(g / max(s, 1) for g, s in zip(grid, shape, strict=True))
    return side > 1 and all(
        abs(s - g / side) <= 1 + 0.01 * s for g, s in zip(grid, shape, strict=True)
    )


def _subtitle(grid: MapGrid) -> str:
    ny, nx = grid.shape
    name = f"EPSG:{grid.crs.epsg}" if grid.crs.epsg else grid.crs.proj.name
    size = f"{nx * grid.cell_m / 1000:.3g} x {ny * grid.cell_m / 1000:.3g} km"
    return f"{size}, cells of {grid.cell_m} m, {name}, north up"


def _note(count: int) -> str:
    if not count:
        return "No concept was asked for yet. Imagery: contrast stretched. Grey: no data."
    note = (
        "Colours run between the 2nd and 98th percentile of each concept's own cells, so they "
        "compare places, not concepts; where a concept is likely nowhere they stay dark. "
        "Imagery: contrast stretched. Grey: no data."
    )
    return f"The first {MOST_MAPS} of {count} maps. {note}" if count > MOST_MAPS else note


def _figure(layout: Layout) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(layout.width, layout.height), facecolor="white")
    FigureCanvasAgg(figure)
    for block, size, weight, colour in (
        (layout.heading, HEADING_SIZE, "bold", _INK),
        (layout.subtitle, SUBTITLE_SIZE, "normal", _QUIET),
        (layout.footer, NOTE_SIZE, "normal", _QUIET),
    ):
        figure.text(
            block.left / layout.width,
            block.top / layout.height,
            block.text,
            size=size,
            weight=weight,
            color=colour,
            linespacing=1.3,
            ha="left",
            va="top",
            parse_math=False,
        )
    return figure


def _axes(figure: Figure, box: Box) -> Axes:
    width, height = figure.get_size_inches()
    left, bottom, across, up = box
    axes = figure.add_axes((left / width, bottom / height, across / width, up / height))
    axes.set(xticks=[], yticks=[], facecolor=_NO_DATA)
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color="#999999")
    return axes


def _titled(figure: Figure, panel: Panel) -> Axes:
    axes = _axes(figure, panel.map)
    width, height = figure.get_size_inches()
    left, bottom, _, up = panel.map
    figure.text(
        left / width,
        (bottom + up + TITLE_PAD) / height,
        panel.title,
        size=TITLE_SIZE,
        weight="bold",
        color=_INK,
        linespacing=1.2,
        ha="left",
        va="baseline",
        parse_math=False,
    )
    return axes


def _draw_imagery(figure: Figure, panel: Panel, imagery: ImageBlock, grid: MapGrid) -> None:
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    rgba, _ = shrink_image(imagery, _MOST_PIXELS)
    _titled(figure, panel).imshow(rgba, interpolation="nearest", aspect="auto")
    # The scale bar stands where the other panels have their colour bar: the narrowest map has
    # room for it there, and it hides nothing.
    left, bottom, across, up = panel.bar
    axes = _axes(figure, (left, bottom - panel.below, across, up + panel.below))
    axes.set_axis_off()
    metres = across * grid.shape[1] * grid.cell_m / panel.map[2]
    axes.set_xlim(0.0, metres)
    length = round_length(0.4 * metres)
    axes.add_artist(
        AnchoredSizeBar(
            axes.transData,
            length,
            length_text(length),
            loc="upper left",
            label_top=False,
            frameon=False,
            pad=0.0,
            borderpad=0.0,
            sep=2.5,
            color=_INK,
            fill_bar=True,
            size_vertical=0.12,
            fontproperties=FontProperties(size=NOTE_SIZE),
        )
    )


def round_length(most: float) -> float:
    """Return the longest of 1, 2 or 5 times a power of ten that is not above a length."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (5.0, 2.0, 1.0, 0.5) if step * power <= most)


def length_text(metres: float) -> str:
    """Return a length for a scale bar, such as ``10 km``."""
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"


def _draw_map(figure: Figure, panel: Panel, one: MapPicture) -> None:
    low, high = one.colour_range
    shown, _ = shrink_mean(one.cells, _MOST_PIXELS)
    axes = _titled(figure, panel)
    image = axes.imshow(
        np.ma.masked_invalid(shown),
        cmap=COLORMAP,
        vmin=low,
        vmax=high,
        interpolation="nearest",
        aspect="auto",
    )
    if one.remark:
        _write_across(axes, one.remark)
    bar = figure.colorbar(
        image,
        cax=_axes(figure, panel.bar),
        orientation="horizontal",
        extend="both",
        extendfrac=0.03,
    )
    decimals = max(0, 1 - math.floor(math.log10(high - low)))
    ticks = (low, (low + high) / 2, high)
    bar.set_ticks(ticks, labels=[f"{tick:.{decimals}f}" for tick in ticks])
    bar.ax.tick_params(labelsize=7, length=2, width=0.5, pad=1.5, colors=_INK)
    first, _, last = bar.ax.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    bar.outline.set(linewidth=0.5, color="#999999")
    bar.set_label(one.label, size=NOTE_SIZE, color=_QUIET, labelpad=2)


def _write_across(axes: Axes, remark: str) -> None:
    from matplotlib.patheffects import withStroke

    axes.text(
        0.5,
        0.5,
        remark,
        transform=axes.transAxes,
        ha="center",
        va="center",
        size=TITLE_SIZE,
        weight="bold",
        color="white",
        path_effects=[withStroke(linewidth=2.5, foreground=_INK)],
        parse_math=False,
    )
