"""``s2s-map overviews``: means of embeddings for maps that are looked at from afar."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from s2s_map.cli.console import Console
from s2s_map.cli.options import AnyOutput, Cluster, LogJson, cluster_of


def overviews_command(
    out: AnyOutput,
    cells: Annotated[
        int | None,
        typer.Option(
            "--cells",
            min=1,
            max=1_000_000,
            help="Add levels until the whole map fits within so many cells a side; 256 if left "
            "out.",
        ),
    ] = None,
    cluster: Cluster = None,
    log_json: LogJson = False,
) -> None:
    """Add means of the embeddings over 2 x 2, 4 x 4 ... cells to an output that lacks them.

    Runs write them already. Takes a third more space, and neither imagery nor model; what was
    stopped goes on, and what was damaged is made again.
    """
    from s2s_map.cli.reporting import reporter
    from s2s_map.pipeline.verbs.overviews import add_overviews

    console = Console(soft_wrap=True)
    began = time.monotonic()
    found = add_overviews(
        out,
        cells=cells,
        reporter=reporter(console, log_json),
        cluster=None if cluster is None else cluster_of(cluster),
    )
    if not found.levels:
        console.print(f"{out} is small: it takes no overviews")
        return
    console.print(
        f"{found.levels} levels of {found.shards:,} shards, {found.made:,} made now "
        f"({time.monotonic() - began:.1f} s)"
    )
