"""``s2s-map evaluate compare-models`` and ``compare-maps``: one against another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from s2s_map.cli.console import Console
from s2s_map.cli.evaluate.options import (
    DEFAULT_FOLDER,
    Background,
    Batch,
    BlockKm,
    Device,
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
from s2s_map.cli.evaluate.retrieval import (
    Audio,
    Gsd,
    ImageCaptions,
    Imagery,
    Limit,
    Split,
    TilePx,
    Zooms,
    file_name,
    stages,
)
from s2s_map.cli.options import zoom_levels

Model = Annotated[str, typer.Argument(help="A model.", show_default=False)]
Map = Annotated[
    Path, typer.Argument(help="A map: output folder of a run, or GeoTIFF.", show_default=False)
]


def compare_models_command(
    first: Model,
    second: Model,
    data: Annotated[str, typer.Option(help="Data set on which the models are compared.")],
    split: Split = "test",
    imagery: Imagery = "sentinel",
    zoom: Zooms = "1",
    metadata: Annotated[
        Literal["none", "all"], typer.Option(help="What models with metadata are given.")
    ] = "all",
    audio: Audio = "auto",
    image_captions: ImageCaptions = True,
    tile_px: TilePx = None,
    gsd: Gsd = None,
    limit: Limit = None,
    batch: Batch = 32,
    device: Device = "cpu",
    samples: Samples = 1000,
    seed: Seed = 0,
    output: ReportFolder = None,
) -> None:
    """Compare two models on one data set, with a paired bootstrap."""
    check_installed("datasets")
    from s2s_map.evaluation.embedding import SetSettings
    from s2s_map.evaluation.report import check_report_folder
    from s2s_map.evaluation.sound_sets import compare_models
    from s2s_map.models.registry import load_model, model_card

    folder = output or _default_folder(first, second)
    for name in (first, second):
        model_card(name)
    check_report_folder(folder)
    settings = SetSettings(
        data,
        split,
        imagery,
        zoom_levels(zoom),
        tile_px,
        gsd,
        audio,
        image_captions,
        limit,
        batch,
    )
    report = compare_models(
        load_model(first, device),
        load_model(second, device),
        settings,
        folder,
        which=metadata,
        samples=samples,
        seed=seed,
        start=stages(),
    )
    show(report, folder)


def compare_maps_command(
    first: Map,
    second: Map,
    layer: Annotated[
        list[str] | None,
        typer.Option(help="Layer of the maps; given twice: of the first and of the second."),
    ] = None,
    slot: Annotated[
        list[str] | None, typer.Option(help="Time slot of the maps; may be given twice.")
    ] = None,
    values: Annotated[
        Literal["probability", "similarity"], typer.Option(help="Which values of the maps.")
    ] = "probability",
    observations: Annotated[
        Path | None, typer.Option(help="Points both maps are compared with: CSV with lon, lat.")
    ] = None,
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
    """Compare two maps of one grid: with points, and their difference as GeoTIFF and picture."""
    check_installed()
    from s2s_map.errors import DataError
    from s2s_map.evaluation.used_points import ObservedSettings
    from s2s_map.pipeline.verbs.compare_maps import compare_maps

    for option, points in (("--effort", effort), ("--training-points", training_points)):
        if points is not None and observations is None:
            raise DataError(f"{option} without --observations", remedy="give the observations, too")
    for path in (first, second):
        if not path.exists():
            raise DataError(
                f"no map at {path}",
                remedy="give output folders of runs or GeoTIFFs; models: evaluate compare-models",
            )
    folder = output or _default_folder(str(first), str(second))
    report = compare_maps(
        first,
        second,
        folder,
        layers=_pair(layer, "--layer"),
        slots=_pair(slot, "--slot"),
        values=values,
        observations=observations,
        effort=effort,
        training_points=training_points,
        settings=ObservedSettings(
            background,
            effort_km,
            training_km,
            block_km,
            samples,
            seed,
            unique,
            max_uncertainty,
        ),
    )
    show(report, folder)


def compare_command(context: typer.Context) -> None:
    """Do what `compare-models` (with --data) or `compare-maps` does: the spelling of 0.1.0."""
    of_models = any(word.split("=")[0] == "--data" for word in context.args)
    name = "compare-models" if of_models else "compare-maps"
    Console(stderr=True).print(
        f"evaluate compare is now evaluate {name}, with the same options", highlight=False
    )
    evaluate: Any = context.parent
    command = evaluate.command.get_command(evaluate, name)
    command.main(context.args, f"{evaluate.command_path} {name}", standalone_mode=False)


def _default_folder(first: str, second: str) -> Path:
    return DEFAULT_FOLDER / f"compare-{file_name(first)}-{file_name(second)}"


def _pair(given: list[str] | None, option: str) -> tuple[str | None, str | None]:
    from s2s_map.errors import DataError

    if not given:
        return None, None
    if len(given) > 2:
        raise DataError(f"{option} given {len(given)} times", expected="once or twice")
    return given[0], given[-1]
