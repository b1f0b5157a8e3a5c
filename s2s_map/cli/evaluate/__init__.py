"""``s2s-map evaluate``: how good are models and maps?"""

from __future__ import annotations

import typer

from s2s_map.cli.evaluate import compare, maps, retrieval, transfer

app = typer.Typer(help="How good are models and maps?", no_args_is_help=True)
app.command("retrieval")(retrieval.retrieval_command)
app.command("transfer")(transfer.transfer_command)
app.command("compare-models")(compare.compare_models_command)
app.command("compare-maps")(compare.compare_maps_command)
app.command(
    "compare",
    hidden=True,
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(compare.compare_command)
app.command("map")(maps.map_command)
