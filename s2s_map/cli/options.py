"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Argument(help="Run config, a YAML file.", show_default=False)]
CatalogFiles = Annotated[
    list[Path] | None,
    typer.Option("--catalog", help="Catalog file that comes before the usual ones; repeatable."),
]
OutputFolder = Annotated[
    Path, typer.Argument(metavar="OUT", help="Output folder of a finished run.", show_default=False)
]
