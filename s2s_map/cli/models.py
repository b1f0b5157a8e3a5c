"""``s2s-map models``: the models by name."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(help="Models by name.", no_args_is_help=True)


@app.command("list")
def list_command() -> None:
    """List the embedded models and the published ones."""
    from s2s_map.models.registry import PUBLISHED, list_models

    table = Table(box=None)
    for heading in ("name", "title", "licence"):
        table.add_column(heading, header_style="dim", overflow="fold")
    for card in list_models():
        table.add_row(card.name, card.title, card.licence)
    for name in PUBLISHED:
        table.add_row(name, "published checkpoint, not loadable by this version", "", style="dim")
    Console().print(table, highlight=False)


@app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="Name of a model, or its folder.")],
) -> None:
    """Show a model's card: what it was trained on, what it is for, what it is not."""
    from s2s_map.models.registry import model_card

    card = model_card(name)
    console = Console()
    console.print(f"[bold]{card.name}[/]: {card.title}", highlight=False)
    table = Table(box=None, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    gsd, patch = card.gsd_m, card.patch_m
    for key, value in (
        ("weights", f"SHA-256 {card.sha256}"),
        ("input", f"{card.input_px} px, embeddings of {card.config.dim} numbers"),
        ("imagery", ", ".join(card.sensors)),
        ("pixels", "-" if gsd is None else f"{gsd[0]:g} to {gsd[1]:g} m"),
        ("patches", "-" if patch is None else f"{patch[0]:,.0f} to {patch[1]:,.0f} m"),
        ("softmax", f"temperature {card.softmax.temperature:g}: {card.softmax.source}"),
        ("training", card.training.summary),
        ("data", "\n".join(card.training.data)),
        ("held out", card.training.held_out),
        ("limits", "\n".join(card.limits)),
        ("licence", card.licence),
        ("attribution", card.attribution),
        ("cite", card.citation),
    ):
        table.add_row(key, value)
    console.print(table, highlight=False)
