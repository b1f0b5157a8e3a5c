"""Evaluate finished maps: against observations, and against each other."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from s2s_map.evaluation.figures import draw_boyce, draw_reliability
from s2s_map.evaluation.observed import ObservedMap, evaluate_observed
from s2s_map.evaluation.point_table import PointTable, read_points
from s2s_map.evaluation.report import Report, Table, check_report_folder, count_table, shown
from s2s_map.evaluation.used_points import ObservedSettings, use_points
from s2s_map.rasters.sampling import MapLayer, open_layer


def evaluate_map(
    out: Path,
    observations: Path,
    *,
    layer: str | None = None,
    slot: str | None = None,
    values: str = "probability",
    effort: Path | None = None,
    training_points: Path | None = None,
    settings: ObservedSettings | None = None,
    output: Path,
) -> Report:
    """Compare a finished map with geotagged observations and write a report.

    Args:
        out: Output folder of a run, or a GeoTIFF.
        observations: See `read_points`.
        layer: Which layer of the run.
        slot: Which time slot of the run.
        values: "probability" or "similarity".
        effort: Places where one looked, whatever was found.
        training_points: Places of what the model was trained on.
        settings: How; None: the defaults.
        output: Folder of the report.

    Raises:
        DataError: For observations that cannot be compared.
        StoreError: For a map that does not open.
        OutputError: For a folder that cannot be written.
    """
    how = settings or ObservedSettings()
    check_report_folder(output)
    where = open_layer(out, layer, slot, values)
    points = read_points(observations, how.max_uncertainty_m)
    looked = None if effort is None else read_points(effort, how.max_uncertainty_m)
    trained = None if training_points is None else read_points(training_points)
    used = use_points(points, where.values_at, trained, how)
    found = evaluate_observed(
        used, where.values_at, looked, how, probability=where.probability, training=trained
    )
    report = _report(found, where, points, out, how)
    report.write(output)
    return report


def _report(
    found: ObservedMap,
    where: MapLayer,
    points: PointTable,
    out: Path,
    how: ObservedSettings,
) -> Report:
    notes = list(found.notes)
    if found.background is not None:
        notes.append(f"Background: {how.background:,} points, {found.background}.")
    notes.append(
        f"Intervals: 95 %, {how.samples} bootstrap samples of {found.squares} squares of "
        f"{how.block_km:g} km."
    )
    pictures: dict[str, Any] = {}
    if found.curve is not None:
        pictures["boyce.png"] = partial(draw_boyce, curve=found.curve, title=where.title)
    if found.diagram is not None:
        pictures["reliability.png"] = partial(
            draw_reliability, diagram=found.diagram, title=where.title
        )
    metrics = [(name, shown(one)) for name, one in found.metrics.items()]
    if found.diagram is not None:
        metrics.append(("Brier score", f"{found.diagram.brier:.3f}"))
    tables = [
        Table(
            f"{where.title} ({where.method or 'values of a GeoTIFF'})", ("metric", "value"), metrics
        ),
        count_table(found.counts),
    ]
    if points.bad:
        rows = [(str(bad.row), bad.reason) for bad in points.bad[:20]]
        tables.append(Table("Rows left out (the first 20)", ("row", "reason"), rows))
    content = {
        "map": str(out),
        "layer": where.title,
        "method": where.method,
        "observations": points.name,
        "settings": asdict(how),
        **found.as_dict(),
        "bad_rows": [asdict(bad) for bad in points.bad],
    }
    return Report(f"{where.title} against {points.name}", content, tables, notes, pictures)
