"""``s2s-map dataset``: data sets of your own recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from s2s_map.cli.console import Console
from s2s_map.cli.options import CatalogFiles, zoom_levels
from s2s_map.cli.stopping import resumable

if TYPE_CHECKING:
    from s2s_map.config.hyper_parameters import SatelliteKind

app = typer.Typer(help="Data sets of located sounds.", no_args_is_help=True)


@app.command("build")
def build_command(
    table: Annotated[
        Path,
        typer.Argument(
            help="CSV, GeoParquet, GeoPackage or GeoJSON with lon, lat, audio, and if wanted time, "
            "caption, id, source.",
            show_default=False,
        ),
    ],
    source: Annotated[str, typer.Option(help="Name of the imagery source.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the data set.", show_default=False)],
    catalog: CatalogFiles = None,
    satellite: Annotated[
        str, typer.Option(help="What to call the imagery: sentinel, bingmap or googleEarth.")
    ] = "sentinel",
    zooms: Annotated[str, typer.Option(help="Zoom levels that must fit.")] = "1,3,5",
    tile_px: Annotated[
        int | None, typer.Option(help="Imagery pixels of a patch at zoom 1; as published if not.")
    ] = None,
    shares: Annotated[
        str, typer.Option(help="Shares of blocks for train, val and test.")
    ] = "0.8,0.1,0.1",
    block_km: Annotated[float, typer.Option(help="Side of blocks that stay together.")] = 10.0,
    gap_km: Annotated[
        float, typer.Option(help="Leave out training rows this near to a held-out one.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of crops and splits.")] = 0,
    threads: Annotated[int, typer.Option(help="Rows made at a time.", min=1)] = 4,
) -> None:
    """Cut imagery and spectrograms for a table of recordings, and split them fairly in space.

    The set has the schema of GeoSound or SoundingEarth: train and evaluate take its folder. Start
    the same command again to go on where it was stopped.
    """
    from s2s_map.catalog.catalog import get_entry, load_catalog
    from s2s_map.datasets.build import BuildSettings, build_dataset
    from s2s_map.datasets.table import read_table
    from s2s_map.errors import DataError
    from s2s_map.extras import check_extra
    from s2s_map.imagery.sources.open_source import open_source

    check_extra("train", "a data set", "datasets", "pyarrow", "dateutil", error=DataError)
    rows = read_table(table)
    settings = BuildSettings(
        satellite=_satellite(satellite),
        zooms=zoom_levels(zooms, "--zooms"),
        tile_px=tile_px,
        shares=_three(shares),
        block_km=block_km,
        gap_km=gap_km,
        seed=seed,
    )
    imagery = open_source(get_entry(source, load_catalog(catalog or [])))
    if imagery.needs_measuring and imagery.coverage and not imagery.needs_freezing:
        # Once, of all of it: pictures of different places share a scale. Others say what to write.
        imagery = imagery.measured(imagery.sample((-180.0, -80.0, 180.0, 84.0)), None)
    with resumable("the building of the data set"):
        built = build_dataset(rows, imagery, out, settings, threads=threads)
    counts = ", ".join(f"{count} {split}" for split, count in built.rows.items())
    console = Console()
    console.print(f"wrote {counts} to {out}", highlight=False)
    if built.skipped:
        first = built.skipped[0]
        console.print(
            f"{len(built.skipped)} rows left out, see {out / 'skipped.json'}; the first, "
            f"{first.key}: {first.reason}",
            highlight=False,
            markup=False,
        )


@app.command("caption")
def caption_command(
    folder: Annotated[
        Path, typer.Argument(help="Folder of the data set's Parquet files.", show_default=False)
    ],
    satellite: Annotated[
        str, typer.Option(help="Which imagery: sentinel, bingmap or googleEarth.")
    ] = "sentinel",
    zooms: Annotated[str, typer.Option(help="At which zoom levels.")] = "1,3,5",
    tile_px: Annotated[
        int | None, typer.Option(help="Imagery pixels of a patch at zoom 1; as published if not.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A LLaVA-1.5 on the hub or in a folder; the paper's if not.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Images at a time.", min=1)] = 8,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cuda",
) -> None:
    """Ask a vision-language model which sounds to expect from each image, as in the paper.

    Captions go into the data set's files; those that are there stay. Start the same command again
    to go on where it was stopped.
    """
    from s2s_map.datasets.captioning import MODEL, LlavaCaptioner, caption_dataset
    from s2s_map.models.loaded import torch_device

    torch_device(device)
    levels = list(zoom_levels(zooms, "--zooms"))
    kind = _satellite(satellite)
    ask = LlavaCaptioner.load(model or MODEL, device)
    with resumable("captioning"):
        count = caption_dataset(folder, ask, kind, levels, tile_px=tile_px, batch=batch)
    Console().print(f"captioned {count} images of {folder}", highlight=False)


def _satellite(name: str) -> SatelliteKind:
    from s2s_map.config.hyper_parameters import SOURCE_PX
    from s2s_map.errors import ConfigError

    if name not in SOURCE_PX:
        raise ConfigError(f"--satellite {name}", expected=f"one of {', '.join(SOURCE_PX)}")
    return cast("SatelliteKind", name)


def _three(text: str) -> tuple[float, float, float]:
    from s2s_map.errors import ConfigError

    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        first = second = third = -1.0
    if not (min(first, second, third) >= 0 and abs(first + second + third - 1) <= 1e-6):
        raise ConfigError(f"--shares {text}", expected="three numbers that sum to 1")
    return first, second, third
