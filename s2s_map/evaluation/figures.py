"""Pictures of evaluations: recall curves, Boyce curves, reliability, example retrievals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten, wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.scoring.occurrence import BoyceCurve, Reliability
from s2s_map.scoring.retrieval import TOP_SHARE

_DPI = 120
_COLOUR = "#b5367a"
_ARROW = "\N{RIGHTWARDS ARROW}"


type Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def draw_recall_curves(path: Path, panels: Mapping[str, Mapping[str, Curve]]) -> None:
    """Draw recall over the share of the gallery looked through: a panel a setting, a line a task.

    Tasks named ``A -> B`` and ``B -> A`` share a colour.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * len(panels) + 0.6, 4.8), layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    pairs = list(dict.fromkeys(_pair(task) for curves in panels.values() for task in curves))
    for axes, (title, curves) in zip(row, panels.items(), strict=True):
        for task, (share, recall) in curves.items():
            first = task.startswith("image")
            axes.plot(
                100 * share,
                100 * recall,
                label=task.replace("->", _ARROW),
                drawstyle="steps-post",
                color=f"C{pairs.index(_pair(task))}",
                linestyle="-" if first else "--",
            )
        axes.plot([0, 100], [0, 100], color="0.7", linestyle=":", label="chance")
        axes.axvline(100 * TOP_SHARE, color="0.7", linewidth=0.8)
        axes.annotate(
            "a tenth", (100 * TOP_SHARE, 100), (2, -9), textcoords="offset points", size=7,
            color="0.4",
        )  # fmt: skip
        axes.set(title=title, xlim=(0, 100), ylim=(0, 100))
        axes.title.set_fontsize(9)
        axes.set_xlabel("share of the gallery looked through, %")
    row[0].set_ylabel("own item found, %")
    row[0].legend(fontsize="small", frameon=False, loc="lower right")
    figure.savefig(path, dpi=_DPI)


def _pair(task: str) -> frozenset[str]:
    return frozenset(task.split(" -> "))


def draw_boyce(path: Path, curve: BoyceCurve, title: str) -> None:
    """Draw how much more often than expected it was found, over the values of the map."""
    figure, axes = _figure(6.4, 4.0)
    finite = np.isfinite(curve.ratio)
    axes.plot(curve.value[finite], curve.ratio[finite], color=_COLOUR)
    axes.axhline(1, color="0.6", linestyle=":")
    axes.set(
        xlabel="value of the map",
        ylabel="presences over background",
        title=f"{shorten(title, 60)}: Boyce index {curve.index:.2f}",
    )
    figure.savefig(path, dpi=_DPI)


def draw_reliability(path: Path, diagram: Reliability, title: str) -> None:
    """Draw the share of presences over the probability, and how many points stand behind it."""
    figure, axes = _figure(5.2, 5.0)
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":")
    sizes = 20 + 280 * diagram.count / diagram.count.max()
    axes.scatter(diagram.predicted, diagram.observed, s=sizes, color=_COLOUR, alpha=0.4)
    axes.plot(diagram.predicted, diagram.observed, color=_COLOUR, marker=".")
    for x, y, count in zip(diagram.predicted, diagram.observed, diagram.count, strict=True):
        axes.annotate(f"{count}", (x, y), textcoords="offset points", xytext=(6, -10), fontsize=7)
    axes.set(
        xlabel="probability (numbers: points)",
        ylabel="share of presences",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
        title=f"{shorten(title, 44)}: Brier score {diagram.brier:.3f}",
    )
    figure.savefig(path, dpi=_DPI)


@dataclass(frozen=True, eq=False)
class Shown:
    """An item of an example retrieval.

    Attributes:
        pixels: Red, green, blue (3, rows, columns).
        caption: Below it.
        own: Whether it is the query's own item.
    """

    pixels: NDArray[np.uint8]
    caption: str
    own: bool = False


@dataclass(frozen=True, eq=False)
class Example:
    """A query and what was found for it.

    Attributes:
        query: In words.
        own: Its own item; its caption says at which rank.
        found: The best ones, best first.
    """

    query: str
    own: Shown
    found: Sequence[Shown]


def draw_examples(path: Path, examples: Sequence[Example], title: str) -> None:
    """Draw example retrievals, one row a query: its own item, then the best ones."""
    columns = 1 + max(len(example.found) for example in examples)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.1 * columns, 2.75 * len(examples) + 0.6), layout="constrained")
    figure.suptitle(
        f"{title.replace('->', _ARROW)}\nleft: the query's own place; then what is found, best "
        "first, framed if it is the own place",
        fontsize=9,
    )
    for row, part in enumerate(figure.subfigures(len(examples), 1, squeeze=False)[:, 0]):
        example = examples[row]
        part.suptitle(shorten(example.query, 110), fontsize=8, x=0.01, ha="left")
        grid = part.subplots(1, columns, squeeze=False)[0]
        for axes in grid:
            axes.set_axis_off()
        for axes, item in zip(grid, [example.own, *example.found], strict=False):
            axes.imshow(np.moveaxis(item.pixels, 0, -1))
            lines = wrap(shorten(item.caption, 90), 32)
            where = {"transform": axes.transAxes, "ha": "center", "va": "top"}
            axes.text(0.5, -0.03, "\n".join(lines), fontsize=6, **where)
            if item.own:
                axes.add_patch(_frame(axes))
    figure.savefig(path, dpi=_DPI)


def draw_difference(
    path: Path, difference: NDArray[np.floating], titles: tuple[str, str], label: str
) -> None:
    """Draw the difference of two maps, the first less the second."""
    figure, axes = _figure(7.0, 6.0)
    finite = np.abs(difference[np.isfinite(difference)])
    most = float(np.percentile(finite, 99)) if len(finite) else 1.0
    from matplotlib import colormaps

    # No data must not look like no difference.
    colours = colormaps["RdBu_r"].with_extremes(bad="0.75")
    picture = axes.imshow(
        difference, cmap=colours, vmin=-(most or 1.0), vmax=most or 1.0, interpolation="nearest"
    )
    axes.set_axis_off()
    first, second = (shorten(t, 40) for t in titles)
    axes.set_title(f"{first}\nless {second}", fontsize=9)
    figure.colorbar(
        picture, ax=axes, label=f"difference in {label} (grey: no data)", shrink=0.7, extend="both"
    )
    figure.savefig(path, dpi=_DPI)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _frame(axes: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(
        (0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=_COLOUR, linewidth=4
    )
