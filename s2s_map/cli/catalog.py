"""``s2s-map catalog``: the imagery sources by name."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from s2s_map.cli.console import Console, styled
from s2s_map.cli.options import CatalogFiles

app = typer.Typer(help="Imagery sources by name.", no_args_is_help=True)


@app.command("list")
def list_command(catalog: CatalogFiles = None) -> None:
    """List the sources of all catalogs in reach."""
    from s2s_map.catalog.catalog import load_catalog

    table = Table(box=None)
    for heading in ("name", "title", "licence"):
        table.add_column(heading, header_style="dim", overflow="fold")
    for name, entry in sorted(load_catalog(catalog or []).items()):
        table.add_row(name, entry.title, entry.licence)
    Console().print(table, highlight=False)


@app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="Name of the source.")], catalog: CatalogFiles = None
) -> None:
    """Show a source: its fields with their meaning, and the scenes that are there."""
    from s2s_map.catalog.catalog import get_entry, load_catalog
    from s2s_map.catalog.scene import Scene
    from s2s_map.catalog.showing import shown_value
    from s2s_map.imagery.sources.open_source import open_source

    entry = get_entry(name, load_catalog(catalog or []))
    console = Console()
    table = Table(box=None, title=name, title_justify="left", title_style="bold")
    table.add_column("field", header_style="dim")
    table.add_column("value", header_style="dim", overflow="fold")
    table.add_column("meaning", header_style="dim", style="dim", overflow="fold")
    hidden = False
    for key, field in type(entry).model_fields.items():
        value = getattr(entry, key)
        shown, without = shown_value(value, key)
        hidden |= without
        table.add_row(key, "-" if value is None else str(shown), field.description or "")
    console.print(table, highlight=False)
    if hidden:
        console.print(
            (
                "[hidden]: what looks like a key is not shown. Keys do not belong into a catalog: "
                "write ${NAME} in their place, list NAME in env:, and set the variable"
            ),
            highlight=False,
            soft_wrap=True,
        )
    source = open_source(entry)
    console.print(source.describe(), highlight=False)
    for scene in source.coverage:
        if not isinstance(scene, Scene):
            continue
        rows, cols = scene.shape
        console.print(
            f"scene {scene.uri.rsplit('/', 1)[-1]}: {cols} x {rows} px of {scene.gsd_m:.3g} m, "
            f"{scene.band_count} bands {scene.dtype}, {scene.crs}",
            highlight=False,
        )


@app.command("check")
def check_command(
    name: Annotated[str, typer.Argument(help="Name of the source.")],
    catalog: CatalogFiles = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="LON,LAT", help="Where to read; the middle of the imagery if not."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Model whose training imagery the colours are compared with.")
    ] = "s2s-mini",
) -> None:
    """Try a source with one small read and say what works, a line for each step."""
    from s2s_map.catalog.catalog import get_entry, load_catalog
    from s2s_map.imagery.checking import check_source
    from s2s_map.models.registry import model_card

    seen = model_card(model).seen
    entry = get_entry(name, load_catalog(catalog or []))
    console = Console()
    broken = 0
    for works, what in check_source(entry, None if at is None else _place(at), seen):
        broken += not works
        mark = ("ok", "green") if works else ("failed:", "red")
        console.print(styled(mark, f" {what}"), soft_wrap=True)
    if broken:
        raise SystemExit(2)


def _place(text: str) -> tuple[float, float]:
    from s2s_map.errors import ConfigError

    try:
        lon, lat = (float(part) for part in text.split(","))
    except ValueError:
        lon, lat = 360.0, 0.0
    if not (-180.0 <= lon <= 180.0 and -80.0 <= lat <= 84.0):
        raise ConfigError(
            f"--at {text}", expected="LON,LAT in degrees, such as 8.54,47.37, from 80 S to 84 N"
        )
    return lon, lat
