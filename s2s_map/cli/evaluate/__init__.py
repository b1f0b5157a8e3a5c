"""``s2s-map evaluate``: how good are models and maps?"""

from __future__ import annotations

import typer

from s2s_map.cli.evaluate import maps

app = typer.Typer(help="How good are models and maps?", no_args_is_help=True)
app.command("map")(maps.map_command)
