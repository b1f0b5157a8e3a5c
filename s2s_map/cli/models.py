"""``s2s-map models``: the models by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from s2s_map.cli.console import Console, styled
from s2s_map.cli.options import CatalogFiles

if TYPE_CHECKING:
    from s2s_map.config.model import ModelCard, OriginCard
    from s2s_map.config.seen import SeenImagery

app = typer.Typer(help="Models by name.", no_args_is_help=True)


@app.command("list")
def list_command() -> None:
    """List the embedded models, the fetched ones, and the published ones that can be fetched."""
    from s2s_map.models.checkpoints.published import PUBLISHED
    from s2s_map.models.registry import fetched_models, list_models

    table = Table(box=None)
    for heading in ("name", "title", "licence"):
        table.add_column(heading, header_style="dim", overflow="fold")
    here = [*list_models(), *fetched_models()]
    for card in here:
        table.add_row(card.name, card.title, card.licence)
    for name in PUBLISHED:
        if name not in {card.name for card in here}:
            table.add_row(name, f"published; s2s-map models fetch {name}", "", style="dim")
    Console().print(table, highlight=False)


@app.command("where")
def where_command() -> None:
    """Print the folder of fetched and converted models; S2S_MAP_MODELS sets another."""
    from s2s_map.models.checkpoints.places import models_folder

    Console(soft_wrap=True).print(str(models_folder()), highlight=False, markup=False)


@app.command("fetch")
def fetch_command(
    name: Annotated[str, typer.Argument(help="Name of a published model.", show_default=False)],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Folder laid out as the model's repository on the hub; nothing is downloaded.",
        ),
    ] = None,
    revision: Annotated[
        str,
        typer.Option(help="Branch, tag or commit of the repository; its commit is recorded."),
    ] = "main",
    redirects_to: Annotated[
        list[str] | None,
        typer.Option(
            "--redirects-to",
            metavar="HOST",
            help="Host that a mirror may redirect to, besides those of the hub; repeatable.",
        ),
    ] = None,
) -> None:
    """Fetch a published model and its text encoder from the hub, and make them ready to use.

    HF_ENDPOINT names a mirror, HF_TOKEN a token; files in the hub's cache are not loaded again.
    """
    from s2s_map.models.checkpoints.fetch import fetch_model
    from s2s_map.models.checkpoints.hub import Source

    card = fetch_model(
        name, Source(folder=source, redirects_to=tuple(redirects_to or ())), revision=revision
    )
    _report(card)


@app.command("convert")
def convert_command(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.ckpt", help="A Lightning checkpoint.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the model; made among the models if unset."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name to load it by; made from the file's name if unset."),
    ] = None,
) -> None:
    """Turn a Lightning checkpoint into safetensors and a card, without running code from it."""
    from s2s_map.models.checkpoints.convert import convert_checkpoint
    from s2s_map.models.checkpoints.places import models_folder
    from s2s_map.models.checkpoints.published import published_name

    called = name or published_name(file.name) or file.stem
    _report(convert_checkpoint(file, output or models_folder() / called, called))


def _report(card: ModelCard) -> None:
    console = Console(soft_wrap=True)
    origin = card.origin
    if origin is not None and origin.revision:
        console.print(f"{origin.repository} at commit {origin.revision}", highlight=False)
    if origin is not None:
        console.print(f"{origin.file}: SHA-256 {origin.sha256}", highlight=False)
    console.print(styled((card.name, "bold"), f": {card.title}"))
    console.print(f"licence {card.licence}: {card.attribution}", highlight=False)


@app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="Name of a model, or its folder.")],
) -> None:
    """Show a model's card: what it was trained on, what it is for, what it is not."""
    from s2s_map.models.registry import model_card

    card = model_card(name)
    console = Console()
    console.print(styled((card.name, "bold"), f": {card.title}"))
    table = Table(box=None, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    gsd, patch = card.gsd_m, card.patch_m
    for key, value in (
        ("weights", f"SHA-256 {card.sha256}"),
        ("input", f"{card.input_px} px, embeddings of {card.config.dim} numbers"),
        ("imagery", ", ".join(card.sensors)),
        ("colours", "not known" if card.seen is None else _colours(card.seen)),
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
        ("from", "" if card.origin is None else _origin(card.origin)),
    ):
        table.add_row(key, value)
    console.print(table, highlight=False)


@app.command("reference")
def reference_command(
    name: Annotated[str, typer.Argument(help="Name of a model, or its folder.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[IMAGE]...", help="8-bit red, green, blue images it was shown."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Catalog entry instead, read as a run reads it.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Run config instead: its source over its region.")
    ] = None,
    about: Annotated[
        str | None, typer.Option(help="Which imagery it is and how it became 8 bit, for the card.")
    ] = None,
    catalog: CatalogFiles = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print it and leave the card as it is.")
    ] = False,
) -> None:
    """Say in a model's card what imagery it saw: percentiles, deviation and a joint histogram.

    Runs then compare their imagery with it, and `scale: match` brings imagery there.
    """
    from s2s_map.models.checkpoints.reading import write_card
    from s2s_map.models.registry import model_card, model_folder
    from s2s_map.pipeline.verbs.model_reference import reference_of

    card = model_card(name)
    seen = reference_of(card, images or [], source, config, catalog or [], about)
    console = Console(soft_wrap=True)
    for colour, band in zip(("red", "green", "blue"), seen.bands, strict=True):
        levels = " ".join(f"{level:.0f}" for level in band.percentiles)
        console.print(
            f"{colour}: mean {band.mean:g}, deviation {band.deviation:g}, percentiles {levels}",
            highlight=False,
        )
    console.print(
        f"{seen.pixels:,} pixels, {len(seen.joint)} of 512 cubes of colour, {seen.zeros:.2%} zeros",
        highlight=False,
    )
    if dry_run:
        return
    if card.seen is not None:
        console.print(f"replaced: {card.seen.source}", highlight=False, markup=False)
    folder = model_folder(name)
    write_card(folder, card.model_copy(update={"seen": seen}))
    console.print(f"written to {folder}", highlight=False, markup=False)


def _colours(seen: SeenImagery) -> str:
    means = ", ".join(f"{b.mean:.0f} ± {b.deviation:.0f}" for b in seen.bands)
    return f"{means} of 255 (red, green, blue): {seen.source}"


def _origin(origin: OriginCard) -> str:
    commit = f"{origin.repository} at {origin.revision}, " if origin.revision else ""
    return f"{commit}{origin.file}, SHA-256 {origin.sha256}"
