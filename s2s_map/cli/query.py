"""``s2s-map query``: ask a finished run something else."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console

from s2s_map.cli.options import OutputFolder


def query_command(
    out: OutputFolder,
    text: Annotated[
        str | None, typer.Argument(help="What to listen for, in English.", show_default=False)
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option("--audio", help="Or a recording: WAV, FLAC, OGG or MP3; or sample:owl.mp3."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the layer and its files.")
    ] = None,
) -> None:
    """Ask the embeddings of a finished run something else and add the answer as a layer.

    Takes seconds: neither the imagery nor the satellite encoder is needed.
    """
    from s2s_map.cli.reporting import reporter
    from s2s_map.pipeline.asking import query

    console = Console()
    began = time.monotonic()
    finished = query(out, text, audio=audio, name=name, reporter=reporter(console))
    layer = finished.record.last_concept
    console.print(
        f"\nadded [bold]{layer}[/] to {out} ({time.monotonic() - began:.1f} s): "
        f"{layer}.tif, and in maps.zarr and preview.png",
        highlight=False,
    )
