"""``s2s-map run``: from a config to maps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2s_map.cli.console import Console, styled
from s2s_map.cli.options import (
    CatalogFiles,
    Cluster,
    ConfigFile,
    LogJson,
    RetryHoles,
    Strict,
    with_cluster,
)
from s2s_map.errors import IncompleteRunError

_SHOWN = 20

if TYPE_CHECKING:
    from s2s_map.pipeline.verbs.open_run import OpenRun


def run_command(
    config: ConfigFile,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Another output than the config's: a folder or s3://BUCKET/PREFIX.",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Start from scratch; what is there stays until the new maps are written.",
        ),
    ] = False,
    retry_holes: RetryHoles = False,
    catalog: CatalogFiles = None,
    cluster: Cluster = None,
    performance_report: Annotated[
        Path | None,
        typer.Option(
            "--performance-report", help="Write Dask's report of what the cluster did, HTML."
        ),
    ] = None,
    strict: Strict = False,
    log_json: LogJson = False,
) -> None:
    """Map a region: read the imagery, embed it, ask the questions, write the maps.

    Ctrl-C stops it; the same command goes on where it stopped. When the embeddings are there
    already, only the questions are asked again.

    Exit codes: 0 complete; 2 nothing was mapped: bad input, or an error in one line; 3 maps are
    written, but with blocks or imagery missing, which are listed; 4 stopped by Ctrl-C or SIGTERM;
    75 storage or cluster went away, start it again later; 1 a bug.
    """
    from s2s_map.cli.reporting import reporter
    from s2s_map.config.run import load_run_config

    console = Console()
    began = time.monotonic()
    settings = load_run_config(config)
    if output is not None:
        settings = settings.model_copy(update={"output": output})
    settings = with_cluster(settings, cluster)
    from s2s_map.pipeline.verbs.run import run

    watch = reporter(console, log_json)
    finished = run(
        settings,
        overwrite=overwrite,
        retry_holes=retry_holes,
        strict=strict,
        catalogs=catalog or [],
        reporter=watch,
        performance_report=performance_report,
    )
    summarise(console, finished, time.monotonic() - began)
    check_complete(finished)


def check_complete(finished: OpenRun) -> None:
    """End with exit code 3 if blocks are missing, or imagery in them.

    Raises:
        IncompleteRunError: With the number, the first and its reason.
    """
    failed = finished.record.failed
    if failed:
        block, reason = next(iter(failed.items()))
        raise IncompleteRunError(
            f"{len(failed)} of {len(failed) + finished.record.counts['blocks']} blocks are missing "
            f"from the maps, such as {block}: {reason}",
            remedy=f"see s2s-map status {finished.folder}; the same run tries them again",
        )
    holes = finished.record.holes
    if holes:
        from s2s_map.outputs.holes import say_holes

        raise IncompleteRunError(
            say_holes(holes),
            remedy=f"see s2s-map status {finished.folder}; when repaired, add --retry-holes",
        )


def summarise(console: Console, finished: OpenRun, seconds: float) -> None:
    """Print what was written, where, how long it took, and what to do next."""
    folder, record = finished.folder, finished.record
    counts = record.counts
    embedded = counts["patches_embedded_now"]
    console.print()
    console.print(
        styled(
            (f"{len(finished.concepts)} maps", "bold"),
            " in ",
            (str(finished.results), "bold"),
            f": {', '.join(finished.concepts)}",
        )
    )
    console.print(
        f"  {counts['valid_cells']:,} cells, {counts['patches']:,} patches in {counts['blocks']:,} "
        f"blocks ({embedded:,} embedded now), {seconds:.0f} s",
        highlight=False,
    )
    if record.holes:
        holes = (f"  {len(record.holes):,} holes in the imagery", "yellow")
        console.print(styled(holes, ": no data there"))
    for hole in record.holes[:_SHOWN]:
        console.print(
            f"    {hole.uri}: {hole.reason} ({hole.blocks:,} blocks)", markup=False, highlight=False
        )
    if len(record.holes) > _SHOWN:
        console.print(f"    and {len(record.holes) - _SHOWN:,} more: run.json lists all")
    for name, what in (
        ("preview.png", "look at this first"),
        ("project.qgz", "all layers in QGIS, styled, over the imagery"),
        ("*.tif", "each layer for any GIS; styled by the .qml beside each"),
        ("maps.zarr", "all maps, for xarray"),
        ("embeddings.zarr", "ask it again in seconds"),
        ("item.json, run.json", "STAC item; config, versions, timings"),
    ):
        console.print(f"  {name:<20} {what}", highlight=False)
    console.print(f'Next: s2s-map query {folder} "a river flowing"', highlight=False)
