"""``s2s-map evaluate transfer``: what the embeddings are worth for other tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

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
from s2s_map.cli.evaluate.retrieval import Gsd, Model, file_name, stages


def transfer_command(
    model: Model,
    data: Annotated[
        Literal["eurosat", "ucmerced", "resisc45", "birdclef"],
        typer.Option(help="Which labelled set."),
    ],
    root: Annotated[
        Path,
        typer.Option(
            help="Its folder, laid out as torchgeo has it, or that of a BirdCLEF competition. "
            "Nothing is downloaded."
        ),
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(help="linear, knn or zero-shot; repeatable.", show_default="all"),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="Text for zero-shot, with {} for the class; repeatable, averaged."),
    ] = None,
    gsd: Gsd = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Samples of each split (of BirdCLEF: of all), drawn at random.",
            show_default="all",
        ),
    ] = None,
    batch: Batch = 32,
    device: Device = "cpu",
    samples: Samples = 1000,
    seed: Seed = 0,
    output: ReportFolder = None,
) -> None:
    """Evaluate embeddings on a labelled set: linear probe, nearest neighbours, zero-shot.

    The protocol is in docs/evaluation.md.
    """
    check_installed()
    from s2s_map.errors import DataError
    from s2s_map.evaluation.report import check_report_folder
    from s2s_map.evaluation.transfer import METHODS, Method, evaluate_transfer
    from s2s_map.models.registry import load_model, model_card

    unknown = [one for one in method or () if one not in METHODS]
    if unknown:
        raise DataError(f"a method {unknown[0]!r}", expected=f"one of {', '.join(METHODS)}")
    card = model_card(model)
    folder = output or DEFAULT_FOLDER / f"transfer-{file_name(card.name)}-{data}"
    check_report_folder(folder)
    report = evaluate_transfer(
        load_model(model, device),
        data,
        root,
        folder,
        methods=cast("list[Method]", method or list(METHODS)),
        prompts=prompt or (),
        gsd_m=gsd,
        limit=limit,
        batch=batch,
        samples=samples,
        seed=seed,
        start=stages(),
    )
    show(report, folder)
