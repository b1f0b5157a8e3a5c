"""``s2s-map evaluate map``: a finished map against observations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from s2s_map.cli.evaluate.options import (
    DEFAULT_FOLDER,
    Background,
    BlockKm,
    Effort,
    EffortKm,
    MaxUncertainty,
    ReportFolder,
    Samples,
    Seed,
    TrainingKm,
    TrainingPoints,
    Unique,
    check_installed,
    show,
)


def map_command(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="Output folder of a finished run, or a GeoTIFF.", show_default=False
        ),
    ],
    observations: Annotated[
        Path,
        typer.Option(help="Where it was heard: CSV with lon, lat, and present (1 or 0) if known."),
    ],
    layer: Annotated[str | None, typer.Option(help="Layer of the run, by its name.")] = None,
    slot: Annotated[str | None, typer.Option(help="Time slot of the run.")] = None,
    values: Annotated[
        Literal["probability", "similarity"], typer.Option(help="Which values of the layer.")
    ] = "probability",
    effort: Effort = None,
    training_points: TrainingPoints = None,
    training_km: TrainingKm = 10.0,
    unique: Unique = False,
    max_uncertainty: MaxUncertainty = 1000.0,
    background: Background = 10_000,
    effort_km: EffortKm = 5.0,
    block_km: BlockKm = 50.0,
    samples: Samples = 1000,
    seed: Seed = 0,
    output: ReportFolder = None,
) -> None:
    """Compare a finished map with geotagged observations.

    Presences only: the Boyce index against background points as dense as the effort. With absences:
    AUC, average precision and a reliability diagram.
    """
    check_installed()
    from s2s_map.evaluation.used_points import ObservedSettings
    from s2s_map.pipeline.verbs.evaluate_map import evaluate_map

    folder = output or DEFAULT_FOLDER / f"map-{out.stem}-{observations.stem}"
    settings = ObservedSettings(
        background, effort_km, training_km, block_km, samples, seed, unique, max_uncertainty
    )
    report = evaluate_map(
        out,
        observations,
        layer=layer,
        slot=slot,
        values=values,
        effort=effort,
        training_points=training_points,
        settings=settings,
        output=folder,
    )
    show(report, folder)
