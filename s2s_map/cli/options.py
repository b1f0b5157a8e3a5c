"""Arguments and options that several verbs share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from s2s_map.config.cluster import ClusterConfig
    from s2s_map.config.run import RunConfig

ConfigFile = Annotated[Path, typer.Argument(help="Run config, a YAML file.", show_default=False)]
CatalogFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--catalog",
        metavar="FILE|URL",
        help="Catalog that comes before the usual ones; repeatable.",
    ),
]
OutputFolder = Annotated[
    str,
    typer.Argument(
        metavar="OUT",
        help="Output of a finished run: a folder or s3://BUCKET/PREFIX.",
        show_default=False,
    ),
]
AnyOutput = Annotated[
    str,
    typer.Argument(
        metavar="OUT",
        help="Output of a run, finished or not: a folder or s3://BUCKET/PREFIX.",
        show_default=False,
    ),
]
FurtherTexts = Annotated[
    list[str] | None,
    typer.Option("--and", help="A further text, averaged with the others; repeatable."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="USE",
        help="Where to compute: threads, local, cuda, tcp://HOST:PORT or tls://HOST:PORT; "
        "instead of the config's.",
    ),
]

RetryHoles = Annotated[
    bool,
    typer.Option(
        "--retry-holes",
        help="Embed again the blocks whose imagery had holes, and no others; for when the imagery "
        "is repaired or its server is back.",
    ),
]

Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse questions that the model does not understand, that negate, or that repeat "
        "another. Without it they are asked, and the line that says so is only printed.",
    ),
]

LogJson = Annotated[
    bool,
    typer.Option(
        "--log-json",
        help="Log as JSON on standard error, one object per line: time, level, event, ...",
    ),
]


def with_cluster(config: RunConfig, use: str | None) -> RunConfig:
    """Return a config with another `cluster:`.

    Raises:
        ConfigError: For something that is not a cluster.
    """
    if use is None:
        return config
    return config.model_copy(update={"cluster": cluster_of(use, config.cluster.model_dump())})


def cluster_of(use: str, others: Mapping[str, Any] | None = None) -> ClusterConfig:
    """Return what `--cluster` names, with the other settings of a `cluster:`.

    Raises:
        ConfigError: For something that is not a cluster.
    """
    from s2s_map.config.cluster import ClusterConfig
    from s2s_map.config.load import parse_model

    return parse_model(ClusterConfig, {**(others or {}), "use": use}, "--cluster")


def zoom_levels(text: str, option: str = "--zoom") -> tuple[int, ...]:
    """Read zoom levels such as ``1,3,5``.

    Raises:
        ConfigError: For anything else.
    """
    from s2s_map.errors import ConfigError

    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"{option} {text!r}", expected="whole numbers such as 1,3,5")
    return tuple(dict.fromkeys(int(part) for part in parts))
