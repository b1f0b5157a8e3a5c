"""``s2s-map new-config``: a commented template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s2s_map.cli.console import Console
from s2s_map.errors import OutputError


def new_config_command(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("my-map.yaml"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write a run config with every key, its meaning and its default."""
    from s2s_map.config.template import config_template
    from s2s_map.outputs.atomic import replacing_file

    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists", remedy="name another file, or use --overwrite")
    with replacing_file(path) as partial:
        partial.write_text(config_template(), encoding="utf-8")
    Console().print(f"wrote {path}; next: change it, then s2s-map plan {path}", highlight=False)
