"""The picture of an explanation: patch, heat map, and the strongest codes in words."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2s_map.outputs.atomic import replacing_file
from s2s_map.outputs.path import ObjectPath
from s2s_map.scoring.codes import CodeInUse
from s2s_map.viewing.text import wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORMAP = "magma"
_DPI = 150
_WIDTH, _PICTURE, _MARGIN = 13.0, 3.4, 0.3
_INK, _QUIET, _NO_DATA = "#222222", "#666666", "#e4e4e4"
_ROW = 0.52


def draw_explanation(
    path: str | os.PathLike[str] | ObjectPath,
    pixels: NDArray[np.uint8],
    heat: NDArray[np.float32],
    codes: Sequence[CodeInUse],
    *,
    title: str,
    subtitle: str,
    attribution: str,
    mark: tuple[float, float],
) -> None:
    """Draw a patch, the similarity of its tokens to a query, and its strongest codes.

    Args:
        path: PNG to make or replace.
        pixels: Red, green, blue of the patch (3, y, x), north up.
        heat: Cosine similarity of each token (tokens, tokens); NaN for no data.
        codes: The strongest codes.
        title: Heading: the query and the place.
        subtitle: Line below it.
        attribution: Whose imagery and model.
        mark: The place within the patch, as shares from the west and from the north.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    table = 0.55 + _ROW * max(1, len(codes))
    height = max(_PICTURE + 0.75, table) + 1.05
    with replacing_file(path) as partial, warnings.catch_warnings():
        # Queries may hold letters that the font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(figsize=(_WIDTH, height), facecolor="white")
        FigureCanvasAgg(figure)
        top = height - 0.95
        image = np.moveaxis(pixels, 0, -1)
        heading = wrap(title, _WIDTH - 2 * _MARGIN, 13, "bold", most=1)
        _text(figure, _MARGIN, height - 0.2, heading, 13, _INK, bold=True)
        _text(figure, _MARGIN, height - 0.52, subtitle, 9, _QUIET)
        left = _MARGIN
        for name, drawn in (("Patch", None), ("Similarity of its parts to the query", heat)):
            _text(figure, left, top + 0.06, name, 9, _INK, bold=True, below=False)
            axes = _axes(figure, left, top - _PICTURE, _PICTURE, _PICTURE)
            # Grey below the heat map, so that its colours are those of its legend.
            below = image if drawn is None else image.mean(axis=-1)
            axes.imshow(below, cmap="gray", extent=(0, 1, 1, 0), interpolation="bilinear")
            if drawn is not None:
                _draw_heat(figure, axes, drawn, left, top - _PICTURE - 0.16)
            axes.plot(
                *mark, marker="+", markersize=11, markeredgewidth=2.2, color="white",
                scalex=False, scaley=False,
            )  # fmt: skip
            axes.plot(
                *mark, marker="+", markersize=9, markeredgewidth=1.0, color="black",
                scalex=False, scaley=False,
            )  # fmt: skip
            left += _PICTURE + 0.25
        _draw_codes(figure, codes, left + 0.1, top)
        footer = wrap(
            "Cross: the place asked for. Codes: the entries of the model's codebook that the patch "
            "is a mix of, with their share; the texts are those of the background vocabulary that "
            f"activate a code most. {attribution}",
            _WIDTH - 3 * _MARGIN,
            7,
        )
        _text(figure, _MARGIN, 0.34, footer, 7, _QUIET)
        figure.savefig(partial, dpi=_DPI, format="png")


def _draw_heat(
    figure: Figure, axes: Axes, heat: NDArray[np.float32], left: float, below: float
) -> None:
    from matplotlib.colors import Normalize

    seen = heat[np.isfinite(heat)]
    low, high = float(seen.min()), float(seen.max())
    norm = Normalize(low, high if high > low else low + 1e-6)
    shown = axes.imshow(
        np.ma.masked_invalid(heat), cmap=COLORMAP, norm=norm, alpha=0.7,
        extent=(0, 1, 1, 0), interpolation="nearest",
    )  # fmt: skip
    bar = figure.colorbar(
        shown, cax=_axes(figure, left, below, _PICTURE, 0.09), orientation="horizontal"
    )
    ticks = (norm.vmin, norm.vmax)
    bar.set_ticks([t for t in ticks if t is not None], labels=[f"{t:.2f}" for t in ticks])
    bar.ax.tick_params(labelsize=7, length=2, width=0.5, pad=1.5, colors=_INK)
    first, last = bar.ax.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    bar.set_label("cosine similarity", size=7, color=_QUIET, labelpad=-6)


def _draw_codes(figure: Figure, codes: Sequence[CodeInUse], left: float, top: float) -> None:
    width = _WIDTH - _MARGIN - left
    _text(figure, left, top + 0.06, "Strongest codes of the patch", 9, _INK, bold=True, below=False)
    if not codes:
        return
    columns = (left, left + 0.62, left + 1.95)
    for x, name in zip(columns, ("code", "share", "texts that activate it most"), strict=True):
        _text(figure, x, top - 0.02, name, 7, _QUIET)
    most = max(code.weight for code in codes)
    for i, code in enumerate(codes):
        y = top - 0.22 - i * _ROW
        _text(figure, columns[0], y, str(code.index), 8, _INK)
        bar = _axes(figure, columns[1], y - 0.13, 0.75 * code.weight / most, 0.13)
        bar.set(facecolor="#7b3a8c")
        for spine in bar.spines.values():
            spine.set_visible(False)
        x = columns[1] + 0.75 * code.weight / most + 0.05
        _text(figure, x, y, f"{code.weight:.1%}", 7, _INK)
        words = "; ".join(text for text, _ in code.texts)
        room = left + width - columns[2]
        _text(figure, columns[2], y, wrap(words, room, 7.5, most=3), 7.5, _INK)


def _text(
    figure: Figure,
    left: float,
    top: float,
    text: str,
    size: float,
    colour: str,
    *,
    bold: bool = False,
    below: bool = True,
) -> None:
    width, height = figure.get_size_inches()
    figure.text(
        left / width, top / height, text, size=size, color=colour, linespacing=1.15,
        weight="bold" if bold else "normal", ha="left", va="top" if below else "bottom",
        parse_math=False,
    )  # fmt: skip


def _axes(figure: Figure, left: float, bottom: float, across: float, up: float) -> Axes:
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, bottom / height, across / width, up / height))
    axes.set(xticks=[], yticks=[], facecolor=_NO_DATA)
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color="#999999")
    return axes
