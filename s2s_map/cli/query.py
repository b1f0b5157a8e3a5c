"""``s2s-map query``: ask a finished run something else."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from s2s_map.cli.console import Console, styled
from s2s_map.cli.options import Cluster, FurtherTexts, LogJson, OutputFolder, Strict, cluster_of


def query_command(
    out: OutputFolder,
    text: Annotated[
        str | None, typer.Argument(help="What to listen for, in English.", show_default=False)
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option(
            "--audio",
            help="A recording, alone or averaged with the texts: WAV, FLAC, OGG or MP3; or "
            "sample:owl.mp3.",
        ),
    ] = None,
    also: FurtherTexts = None,
    minus: Annotated[
        list[str] | None,
        typer.Option("--minus", help="A text to take off, such as traffic; repeatable."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the layer and its files.")
    ] = None,
    cluster: Cluster = None,
    strict: Strict = False,
    log_json: LogJson = False,
) -> None:
    """Ask the embeddings of a finished run something else and add the answer as a layer.

    Takes seconds: neither the imagery nor the satellite encoder is needed.

    Birds without traffic: s2s-map query OUT "birds singing" --minus traffic
    """
    from s2s_map.cli.reporting import reporter
    from s2s_map.pipeline.verbs.query import query

    console = Console()
    began = time.monotonic()
    finished = query(
        out,
        text,
        audio=audio,
        texts=also or (),
        minus=minus or (),
        name=name,
        reporter=reporter(console, log_json),
        cluster=None if cluster is None else cluster_of(cluster),
        strict=strict,
    )
    layer = finished.record.last_concept
    done, to = ("replaced", "in") if finished.record.replaced_last else ("added", "to")
    console.print(
        styled(
            f"\n{done} ",
            (str(layer), "bold"),
            f" {to} {out} ({time.monotonic() - began:.1f} s): "
            f"{layer}.tif, and in maps.zarr and preview.png",
        )
    )
