"""``s2s-map plan``: what a run will take."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal
from rich.table import Table

from s2s_map.cli.console import Console
from s2s_map.cli.options import CatalogFiles, ConfigFile

if TYPE_CHECKING:
    from s2s_map.imagery.requests import Requests
    from s2s_map.pipeline.verbs.expected_scenes import Scenes
    from s2s_map.regions.region import Outline
    from s2s_map.tiling.splitting import Piece

_SHOWN = 12

AsJson = Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")]


def plan_command(config: ConfigFile, catalog: CatalogFiles = None, as_json: AsJson = False) -> None:
    """Print blocks, patches, bytes to read, memory and time of a run, without starting it."""
    from s2s_map.catalog.catalog import load_catalog
    from s2s_map.config.run import load_run_config
    from s2s_map.config.text import duration
    from s2s_map.outputs.output import open_output
    from s2s_map.pipeline.job.check_settings import check_settings
    from s2s_map.pipeline.job.frozen_search import thaw
    from s2s_map.pipeline.job.job import resolve
    from s2s_map.pipeline.verbs.expected_scenes import source_hint
    from s2s_map.pipeline.verbs.plan import make_plan
    from s2s_map.regions.place_region import others_note
    from s2s_map.tiling.splitting import crs_name

    settings = load_run_config(config)
    # A plan needs no network.
    output = open_output(settings.output)
    home = None if output.local is None else output.finished_home()
    job = resolve(settings, catalog or [], home)
    if home is not None:
        job = thaw(job, home)
    check_settings(settings)
    plan = make_plan(job)
    if as_json:
        typer.echo(json.dumps(asdict(plan), indent=2, ensure_ascii=False))
        return
    entries = load_catalog(catalog or [])
    hint = source_hint(job.card, entries, settings.source, job.entry.sensor.gsd_m)
    ny, nx = plan.shape
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    cell = plan.cell_m
    for key, value in (
        ("imagery", f"{job.entry.title} ({job.source.describe()})"),
        ("model", f"{job.card.name}: {job.card.title}"),
        (
            "map",
            f"{nx} x {ny} cells of {cell} m in {crs_name(job.grid.crs)}, "
            f"{nx * cell / 1000:.1f} x {ny * cell / 1000:.1f} km",
        ),
        (
            "region",
            f"{job.outline.name}: {plan.cells:,} cells, {plan.cells / (nx * ny):.1%} of the map",
        ),
        *(("parts", line) for line in (others_note(job.outline),) if line),
        ("distances", f"up to {plan.distance_error:.2%} off on the map"),
        ("patches", f"{plan.patches:,} of {plan.patch_m:,.0f} m every {plan.stride_m:g} m"),
        ("blocks", f"{plan.blocks:,}"),
        ("to read", f"{decimal(plan.read_bytes)} of pixels, uncompressed"),
        *(("to fetch", _fetching(found)) for found in (plan.requests,) if found is not None),
        *(("to search", _searching(found)) for found in (plan.scenes,) if found is not None),
        (
            "to store",
            f"at most {decimal(plan.store_bytes)} embeddings, {decimal(plan.overviews_bytes)} "
            f"overviews of them, {decimal(plan.maps_bytes)} maps",
        ),
        ("memory", f"at most {decimal(plan.memory_bytes)}"),
        (
            "time",
            f"about {duration(plan.seconds)} to embed at {plan.rate:.0f} patches/s "
            "(reckoned for this machine's CPU, not measured)",
        ),
        ("licence", f"{plan.licence}; {plan.attribution}"),
        *(("hint", line) for line in (hint,) if line),
        *(("note", warning) for warning in plan.warnings),
        *(("" if n else "split", line) for n, line in enumerate(_split(plan.split, job.outline))),
        ("output", str(job.output)),
    ):
        table.add_row(key, value)
    Console().print(table, highlight=False)


def _searching(scenes: Scenes) -> str:
    return (
        f"{scenes.parts:,} parts, a request or two each; about {scenes.tiles:,} tiles of 100 km, "
        f"at most {scenes.most:,} scenes; reading them at most {scenes.requests:,} requests"
    )


def _split(pieces: tuple[Piece, ...], outline: Outline) -> list[str]:
    shown = [f"region: {_written(piece)}  # {_about(piece)}" for piece in pieces[:_SHOWN]]
    if len(pieces) > _SHOWN:
        shown.append(f"and {len(pieces) - _SHOWN:,} more, all by a batch: --json lists them")
    if pieces and outline.place and not outline.region.endswith("]"):
        shown.append(f"all of them in a batch: regions: {{NAME: {outline.place} (all)}}")
    return shown


def _written(piece: Piece) -> str:
    if isinstance(piece.region, str):
        return piece.region
    return f"[{', '.join(f'{edge:g}' for edge in piece.region)}]"


def _about(piece: Piece) -> str:
    return (
        f"{piece.area_km2:,.0f} km2 in {piece.crs}, distances {piece.distance_error:.1%} off, "
        f"{piece.land_share:.0%} land"
    )


def _fetching(requests: Requests) -> str:
    from s2s_map.config.text import duration

    return (
        f"about {requests.count:,} {requests.what}, {requests.per_day:,} a day at most: "
        f"{duration(requests.days * 86400.0)} at least"
    )
