"""``s2s-map explain``: why a place of a finished run answers a query as it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s2s_map.cli.console import Console
from s2s_map.cli.options import CatalogFiles, FurtherTexts, OutputFolder


def explain_command(
    out: OutputFolder,
    lon: Annotated[float, typer.Argument(help="Longitude, degrees east.", show_default=False)],
    lat: Annotated[float, typer.Argument(help="Latitude, degrees north.", show_default=False)],
    query: Annotated[
        str | None, typer.Option("--query", help="What to listen for, in English.")
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option("--audio", help="A recording, alone or averaged with the texts."),
    ] = None,
    also: FurtherTexts = None,
    minus: Annotated[
        list[str] | None, typer.Option("--minus", help="A text to take off; repeatable.")
    ] = None,
    time_slot: Annotated[
        str | None, typer.Option("--time-slot", help="Such as 05-13h; the first if left out.")
    ] = None,
    codes: Annotated[int, typer.Option("--codes", min=1, max=24, help="Codes to show.")] = 8,
    catalog: CatalogFiles = None,
) -> None:
    """Show why a place answers a query as it does: a picture and a JSON file.

    Reads the patch around the place from the imagery again and shows where in it the query is
    found, the codes the patch is a mix of, and the texts these codes stand for.

    s2s-map explain OUT -54.6 -25.4 --query waves
    """
    from s2s_map.pipeline.verbs.explain import explain

    paths: list[str | Path] = list(catalog or ())
    found = explain(
        out,
        lon,
        lat,
        query,
        audio=audio,
        texts=also or (),
        minus=minus or (),
        time_slot=time_slot,
        codes=codes,
        catalogs=paths,
    )
    console = Console(soft_wrap=True)
    console.print(
        f"similarity {found.similarity:.3f} for the patch, {found.cell_similarity:.3f} in the map"
    )
    for code in found.codes[:3]:
        about = "; ".join(text for text, _ in code.texts)
        console.print(f"code {code.index} ({code.weight:.0%}): {about}", markup=False)
    console.print(f"picture: {found.picture}\nreport:  {found.report}", markup=False)
