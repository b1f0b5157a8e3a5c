"""``s2s-map evaluate retrieval``: does each recording find its place?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from s2s_map.cli.console import Console
from s2s_map.cli.evaluate.options import (
    DEFAULT_FOLDER,
    Batch,
    Device,
    ReportFolder,
    Samples,
    Seed,
    check_installed,
    show,
)
from s2s_map.cli.options import zoom_levels

Model = Annotated[
    str, typer.Option(help="Name or folder of a model, or python:MODULE:NAME for your own.")
]
Data = Annotated[
    str,
    typer.Option(
        help="Folder of Parquet files in the schema of GeoSound or SoundingEarth, one such file, "
        "or a repository on the hub."
    ),
]
Split = Annotated[str, typer.Option(help="train, val or test.")]
Imagery = Annotated[
    Literal["sentinel", "bingmap", "googleEarth"], typer.Option(help="Which imagery.")
]
Zooms = Annotated[str, typer.Option("--zoom", help="Patch sides in tiles, such as 1,3,5.")]
TilePx = Annotated[
    int | None,
    typer.Option(min=1, help="Source pixels of a tile.", show_default="as published"),
]
Gsd = Annotated[
    float | None,
    typer.Option("--gsd", min=0.001, help="Metres of a source pixel.", show_default="as published"),
]
Audio = Annotated[
    Literal["auto", "mel", "recording"],
    typer.Option(help="Hear the first stored spectrogram, as published, or the whole recording."),
]
ImageCaptions = Annotated[
    bool,
    typer.Option(
        help="Also image and its own caption (llava_caption_*), where the set has one of the zoom."
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Look at the first rows only, this many.", show_default="all"),
]


def retrieval_command(
    model: Model,
    data: Data,
    split: Split = "test",
    imagery: Imagery = "sentinel",
    zoom: Zooms = "1",
    metadata: Annotated[
        Literal["on-off", "none", "all", "each"],
        typer.Option(
            help="What a model with metadata is given: all and nothing (on-off), one of these, "
            "or also every single kind, and kinds added one by one (each)."
        ),
    ] = "on-off",
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
    """Evaluate retrieval between imagery, recordings and captions.

    R@10% as published, R@1, 5, 10 and 100, median rank, with intervals.
    """
    check_installed("datasets")
    from s2s_map.evaluation.embedding import SetSettings
    from s2s_map.evaluation.report import check_report_folder
    from s2s_map.evaluation.sound_sets import evaluate_retrieval
    from s2s_map.models.registry import load_model, model_card

    card = model_card(model)
    folder = output or DEFAULT_FOLDER / f"retrieval-{file_name(card.name)}-{file_name(data)}"
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
    report = evaluate_retrieval(
        load_model(model, device),
        settings,
        folder,
        which=metadata,
        samples=samples,
        seed=seed,
        start=stages(),
    )
    show(report, folder)


def file_name(name: str) -> str:
    """Return the last part of a name or path, safe for a file."""
    from s2s_map.encoding.queries import safe_name

    return safe_name(Path(name).stem) or "unnamed"


def stages() -> Callable[[str, int], Callable[[int], None]]:
    """Return what shows progress, stage by stage."""
    from s2s_map.cli.reporting import reporter

    shown = reporter(Console(stderr=True))

    def start(stage: str, total: int) -> Callable[[int], None]:
        shown.start(stage, total, "samples")
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            shown.advance(count)
            done += count
            if done >= total:
                shown.finish()

        return advance

    return start
