"""``s2s-map evaluate map``: a finished map against observations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from s2s_map.cli.evaluate.options import (
    DEFAULT_FOLDER,
    ReportFolder,
    Samples,
    Seed,
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
    effort: Annotated[
        Path | None,
        typer.Option(help="All places where one listened, whatever was heard: CSV with lon, lat."),
    ] = None,
    training_points: Annotated[
        Path | None,
        typer.Option(help="Places the model was trained on: CSV with lon, lat."),
    ] = None,
    training_km: Annotated[
        float, typer.Option(min=0, help="Drop observations this near to a training point, km.")
    ] = 10.0,
    background: Annotated[
        int, typer.Option(min=100, help="Background points, where absences are not known.")
    ] = 10_000,
    effort_km: Annotated[
        float, typer.Option(min=0, help="Spread of the background around the effort points, km.")
    ] = 5.0,
    block_km: Annotated[
        float, typer.Option(min=0.001, help="Squares that are drawn whole for the intervals, km.")
    ] = 50.0,
    samples: Samples = 1000,
    seed: Seed = 0,
    output: ReportFolder = None,
) -> None:
    """Compare a finished map with geotagged observations.

    Presences only: the Boyce index against background points as dense as the effort. With absences:
    AUC, average precision and a reliability diagram.
    """
    check_installed()
    from s2s_map.evaluation.observed import ObservedSettings
    from s2s_map.pipeline.evaluating import evaluate_map

    folder = output or DEFAULT_FOLDER / f"map-{out.stem}-{observations.stem}"
    settings = ObservedSettings(background, effort_km, training_km, block_km, samples, seed)
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
