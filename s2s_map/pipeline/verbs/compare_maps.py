"""The difference of two finished maps: as a GeoTIFF, as a picture, and in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from s2s_map.errors import DataError
from s2s_map.evaluation.figures import draw_difference
from s2s_map.evaluation.observed import compare_observed
from s2s_map.evaluation.places import squares
from s2s_map.evaluation.point_table import read_points
from s2s_map.evaluation.report import Report, Table, check_report_folder, count_table, shown
from s2s_map.evaluation.used_points import ObservedSettings
from s2s_map.rasters.geotiff import CogMetadata, write_geotiff
from s2s_map.rasters.sampling import MapLayer, open_layer
from s2s_map.scoring.bootstrap import Estimate, estimate
from s2s_map.scoring.occurrence import rank_correlation

MOST_CELLS = 400_000_000
"""Of the difference: two maps and their difference are in memory, 16 bytes a cell."""

_SAMPLED = 20_000
"""Cells that correlation and mean difference are computed from."""

_PICTURE_PX = 1200


def compare_maps(
    first: Path,
    second: Path,
    output: Path,
    *,
    layers: tuple[str | None, str | None] = (None, None),
    slots: tuple[str | None, str | None] = (None, None),
    values: str = "probability",
    observations: Path | None = None,
    effort: Path | None = None,
    training_points: Path | None = None,
    settings: ObservedSettings | None = None,
) -> Report:
    """Compare two maps on the cells they share and write a report with the difference map.

    With observations, both are compared with the same points, and their metrics with a paired
    bootstrap over squares.

    Args:
        first: Output folder of a run, or a GeoTIFF.
        second: Another; of the same CRS and cells.
        output: Folder of the report.
        layers: Which layer of each.
        slots: Which time slot of each.
        values: "probability" or "similarity".
        observations: See `read_points`.
        effort: Places where one looked, for presences only.
        training_points: Places of what the models were trained on.
        settings: How; None: the defaults.

    Raises:
        DataError: For maps without cells in common, or observations that cannot be compared.
        StoreError: For a map that does not open.
        OutputError: For a folder that cannot be written.
    """
    how = settings or ObservedSettings()
    check_report_folder(output)
    a, b = (
        open_layer(path, layer, slot, values)
        for path, layer, slot in zip((first, second), layers, slots, strict=True)
    )
    geobox = shared_cells(a.geobox, b.geobox)
    one, other = (layer.read(*_window(layer.geobox, geobox)).astype(np.float32) for layer in (a, b))
    difference = one - other
    valid = np.isfinite(difference)
    if not valid.any():
        raise DataError("the two maps have data on no cell in common")
    titles = (_title(a, first), _title(b, second))
    numbers = _numbers(one, other, valid, geobox, how)
    rows = [(name, shown(value, 4)) for name, value in numbers.items()]
    tables = [Table(f"{titles[0]} less {titles[1]}", ("", "value"), rows)]
    notes = [
        f"{int(valid.sum()):,} cells on which both have data; numbers from at most {_SAMPLED:,} of "
        f"them, intervals over squares of {how.block_km:g} km, {how.samples} bootstrap samples."
    ]
    content: dict[str, Any] = {
        "first": {"map": str(first), "layer": a.title, "method": a.method},
        "second": {"map": str(second), "layer": b.title, "method": b.method},
        "cells": int(valid.sum()),
        "difference": {name: value.as_dict() for name, value in numbers.items()},
    }
    if a.method != b.method:
        notes.append(f"The values came about differently: {a.method or '?'}; {b.method or '?'}.")
    if observations is not None:
        more_tables, more, about = _against(
            a, b, titles, observations, effort, training_points, how
        )
        tables += more_tables
        notes += more
        content["observations"] = about
    metadata = CogMetadata(
        [f"{titles[0]} less {titles[1]}"],
        {
            "TITLE": f"{titles[0]} less {titles[1]}",
            "METHOD": "difference",
            "VALUES": values,
            "FIRST": f"{first}: {a.title} ({a.method or 'method not known'})",
            "SECOND": f"{second}: {b.title} ({b.method or 'method not known'})",
        },
    )
    pictures = {
        "difference.png": partial(
            draw_difference, difference=_thinned(difference), titles=titles, label=values
        ),
    }
    report = Report(f"{titles[0]} against {titles[1]}", content, tables, notes, pictures)
    files = {
        "difference.tif": partial(
            write_geotiff, bands=difference[None], geobox=geobox, metadata=metadata
        )
    }
    report.write(output, files)
    return report


def shared_cells(one: GeoBox, other: GeoBox) -> GeoBox:
    """The cells that two grids share.

    Raises:
        DataError: If they are not cells of one lattice, or do not overlap.
    """
    steps = [tuple(round(v, 6) for v in (g.transform.a, g.transform.e)) for g in (one, other)]
    offset = ~one.transform * (other.transform.c, other.transform.f)
    whole = all(abs(v - round(v)) < 1e-3 for v in offset)
    if one.crs != other.crs or steps[0] != steps[1] or not whole:
        raise DataError(
            f"maps of different cells: {_cells(one)} and {_cells(other)}",
            expected="two maps of one CRS and cell size, aligned",
            remedy="run one of them again with the grid: of the other",
        )
    left, top = (round(v) for v in offset)
    x0, y0 = max(0, left), max(0, top)
    x1 = min(one.shape[1], left + other.shape[1])
    y1 = min(one.shape[0], top + other.shape[0])
    if x0 >= x1 or y0 >= y1:
        raise DataError("two maps that do not overlap", expected="maps of one region")
    if (x1 - x0) * (y1 - y0) > MOST_CELLS:
        raise DataError(
            f"{(x1 - x0) * (y1 - y0):,} cells in common",
            expected=f"at most {MOST_CELLS:,}",
            remedy="compare a part of the maps",
        )
    shared: GeoBox = one[y0:y1, x0:x1]
    return shared


def _cells(grid: GeoBox) -> str:
    crs = grid.crs
    code = None if crs is None else crs.to_epsg()
    name = f"EPSG:{code}" if code else "a CRS of its own"
    return f"{abs(grid.transform.a):g} x {abs(grid.transform.e):g} in {name}"


def _window(of: GeoBox, part: GeoBox) -> tuple[slice, slice]:
    column, row = (round(v) for v in ~of.transform * (part.transform.c, part.transform.f))
    return slice(row, row + part.shape[0]), slice(column, column + part.shape[1])


def _title(layer: MapLayer, path: Path) -> str:
    return f"{layer.title} ({path.name})"


def _numbers(
    one: NDArray[np.float32],
    other: NDArray[np.float32],
    valid: NDArray[np.bool_],
    geobox: GeoBox,
    how: ObservedSettings,
) -> Mapping[str, Estimate]:
    from pyproj import Transformer

    row, column = np.nonzero(valid)
    if len(row) > _SAMPLED:
        chosen = np.random.default_rng(how.seed).choice(len(row), _SAMPLED, replace=False)
        row, column = row[chosen], column[chosen]
    t = geobox.transform  # north up, or turned
    x = t.a * (column + 0.5) + t.b * (row + 0.5) + t.c
    y = t.d * (column + 0.5) + t.e * (row + 0.5) + t.f
    to_degrees = Transformer.from_crs(str(geobox.crs), "EPSG:4326", always_xy=True)
    longitude, latitude = to_degrees.transform(x, y)
    groups = squares(np.asarray(longitude), np.asarray(latitude), how.block_km)
    a, b = one[row, column].astype(np.float64), other[row, column].astype(np.float64)

    def statistic(drawn: NDArray[np.intp]) -> dict[str, float]:
        return {
            "mean difference": float((a[drawn] - b[drawn]).mean()),
            "mean absolute difference": float(np.abs(a[drawn] - b[drawn]).mean()),
            "rank correlation": rank_correlation(a[drawn], b[drawn]),
        }

    return estimate(statistic, len(a), samples=how.samples, seed=how.seed, groups=groups)


def _against(
    a: MapLayer,
    b: MapLayer,
    titles: tuple[str, str],
    observations: Path,
    effort: Path | None,
    training_points: Path | None,
    how: ObservedSettings,
) -> tuple[list[Table], list[str], dict[str, Any]]:
    points = read_points(observations, how.max_uncertainty_m)
    looked = None if effort is None else read_points(effort, how.max_uncertainty_m)
    trained = None if training_points is None else read_points(training_points)
    sides, counts, notes = compare_observed(a.values_at, b.values_at, points, looked, trained, how)
    rows = [
        [name, *(shown(values[side]) for side in ("first", "second", "difference"))]
        for name, values in sides.items()
    ]
    table = Table(f"Against {points.name}", ("metric", *titles, "difference"), rows)
    about = {
        "file": points.name,
        "settings": asdict(how),
        "points": dict(counts),
        "metrics": {
            name: {side: value.as_dict() for side, value in values.items()}
            for name, values in sides.items()
        },
    }
    notes.append(
        f"Both maps on the same points, paired bootstrap: {how.samples} samples of squares of "
        f"{how.block_km:g} km."
    )
    return [table, count_table(counts)], notes, about


def _thinned(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    step = max(1, -(-max(cells.shape) // _PICTURE_PX))
    return cells[::step, ::step]
