"""``s2s-map evaluate compare``: two models on one data set, or two maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

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
    zoom_levels,
)

if TYPE_CHECKING:
    from s2s_map.evaluation.report import Report

Side = Annotated[
    str,
    typer.Argument(
        help="A model (with --data), or a map: output folder of a run, or GeoTIFF.",
        show_default=False,
    ),
]


def compare_command(
    first: Side,
    second: Side,
    data: Annotated[
        str | None, typer.Option(help="Data set on which two models are compared.")
    ] = None,
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
    """Compare two models on one data set, or two maps of one grid.

    With a paired bootstrap; of maps also the difference, as GeoTIFF and picture.
    """
    check_installed(*(() if data is None else ("datasets",)))
    folder = output or DEFAULT_FOLDER / f"compare-{file_name(first)}-{file_name(second)}"
    report: Report
    _check_together(
        data,
        {
            "--layer": layer,
            "--slot": slot,
            "--observations": observations,
            "--effort": effort,
            "--training-points": training_points,
        },
    )
    if data is None:
        from s2s_map.evaluation.used_points import ObservedSettings
        from s2s_map.pipeline.verbs.compare_maps import compare_maps

        report = compare_maps(
            _existing(first),
            _existing(second),
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
    else:
        from s2s_map.evaluation.embedding import SetSettings
        from s2s_map.evaluation.report import check_report_folder
        from s2s_map.evaluation.sound_sets import compare_models
        from s2s_map.models.registry import load_model, model_card

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


def _check_together(data: str | None, of_maps: dict[str, object]) -> None:
    """Refuse options that would be left unused without a word."""
    from s2s_map.errors import DataError

    given = [option for option, value in of_maps.items() if value is not None]
    if data is not None and given:
        raise DataError(
            f"{given[0]} with --data",
            expected="--data to compare models, or the options of maps",
            remedy="leave one of them out",
        )
    alone = [name for name in ("--effort", "--training-points") if name in given]
    if alone and "--observations" not in given:
        raise DataError(f"{alone[0]} without --observations", remedy="give the observations, too")


def _existing(name: str) -> Path:
    from s2s_map.errors import DataError

    path = Path(name)
    if not path.exists():
        raise DataError(
            f"no map at {name}",
            remedy="give output folders of runs or GeoTIFFs; or, to compare models, --data",
        )
    return path


def _pair(given: list[str] | None, option: str) -> tuple[str | None, str | None]:
    from s2s_map.errors import DataError

    if not given:
        return None, None
    if len(given) > 2:
        raise DataError(f"{option} given {len(given)} times", expected="once or twice")
    return given[0], given[-1]
