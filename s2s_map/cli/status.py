"""``s2s-map status`` and ``s2s-map verify``: how far a run is, and whether its store is sound."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from s2s_map.cli.console import Console, styled
from s2s_map.cli.options import AnyOutput
from s2s_map.config.text import duration
from s2s_map.errors import IncompleteRunError

_SHOWN = 20

Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


def status_command(out: AnyOutput, as_json: Json = False) -> None:
    """Show how far a run is: progress, rate, time left, failures and holes.

    It may be asked from anywhere that sees the folder, while the run goes on or afterwards.
    """
    from s2s_map.pipeline.verbs.status import run_status

    status = run_status(out)
    if as_json:
        sys.stdout.write(json.dumps(status.as_dict(), indent=2, ensure_ascii=False) + "\n")
        return
    console = Console(soft_wrap=True)
    left = "" if status.seconds_left is None else f", {duration(status.seconds_left)} left"
    holed = " with holes" if status.holes else ""
    at = ", maps being made" if status.stage == "maps" and status.state == "running" else ""
    at = ", maps not finished" if status.stage == "maps" and not at else at
    console.print(
        styled(
            (status.state, "bold"),
            f"{holed} on {status.cluster}: {status.share:.1%} embedded{left}{at}",
        )
    )
    console.print(f"  {status.blocks_done:,} of {status.blocks:,} blocks")
    idle = "" if status.encoder_idle is None else f", encoder idle {status.encoder_idle:.0%}"
    console.print(f"  {status.patches_done:,} patches encoded, {status.patches_per_s:,.1f}/s{idle}")
    console.print(f"  last word {duration(status.silent_s)} ago")
    there = "written" if status.maps_current else "of an earlier run"
    there += ", till the new ones are whole" if status.overwriting else ""
    console.print(f"  maps: {there if status.maps else 'not written yet'}")
    for making in status.made_with if len(status.made_with) > 1 else ():
        console.print(f"  blocks: {making}")
    for title, lines in (
        (
            "files of the results damaged (s2s-map verify reads them)",
            [f"{name}: {reason}" for name, reason in status.bad_files.items()],
        ),
        ("blocks failed", [f"{block}: {why}" for block, why in status.failed.items()]),
        (
            "holes in the imagery",
            [f"{h.uri}: {h.reason} ({h.blocks:,} blocks)" for h in status.merged_holes],
        ),
    ):
        if lines:
            console.print(styled((f"  {len(lines):,} {title}", "yellow")))
            for line in lines[:_SHOWN]:
                console.print(f"    {line}", markup=False)
            if len(lines) > _SHOWN:
                console.print(f"    and {len(lines) - _SHOWN:,} more: --json lists all")


def verify_command(
    out: AnyOutput,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Forget bad blocks, so that the next run makes them again; make bad files and "
            "overviews again from the embeddings.",
        ),
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="OTHER",
            help="Compare with another output of the same config instead, within the tolerance "
            "that holds between devices and batch sizes.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read all embeddings, their overviews and all files of the results; compare their checksums.

    Exit codes: 0 every block that the region needs, and every file, is as recorded; 2 there is
    nothing to verify, or it cannot be read; 3 something is bad, or blocks are not embedded yet;
    with --against, blocks of the two outputs do not agree.
    """
    from s2s_map.cli.reporting import reporter
    from s2s_map.pipeline.verbs.status import run_status, verify
    from s2s_map.pipeline.verbs.verify import can_be_remade, verify_results
    from s2s_map.pipeline.verbs.verify_overviews import verify_overviews

    console = Console(stderr=as_json, soft_wrap=True)
    if against is not None:
        _compare(out, against, console, as_json=as_json)
        return
    watch = reporter(console)
    bad = verify(out, repair=repair, reporter=watch)
    means = verify_overviews(out, reporter=watch)
    files = verify_results(out, reporter=watch)
    if repair and means and not bad:
        from s2s_map.pipeline.verbs.overviews import add_overviews

        add_overviews(out, thorough=True, reporter=watch)
        means = verify_overviews(out, reporter=watch)
    if repair and not bad and can_be_remade(files):
        from s2s_map.pipeline.verbs.query import remake

        remake(out, watch)
        files = verify_results(out, reporter=watch)
    after = run_status(out)
    needed = after.blocks
    verified = after.blocks_done - (0 if repair else len(bad))
    if as_json:
        listed = [{"block": one.block, "reason": one.reason} for one in bad]
        found = {
            "bad": listed,
            "bad_overviews": [asdict(one) for one in means],
            "bad_files": {one.file: one.reason for one in files},
            "repaired": repair,
            "verified": verified,
            "needed": needed,
        }
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        for one in bad:
            console.print(f"{one.block}: {one.reason}", markup=False)
        above = [f"{one.shard} of overview {one.factor}: {one.reason}" for one in means]
        _show(console, "overviews", above)
        _show(console, "files", [f"{file.file}: {file.reason}" for file in files])
        console.print(f"{verified:,} of {needed:,} needed blocks verified")
    if bad:
        remedy = f"s2s-map verify {out} --repair, then the same run again"
        raise IncompleteRunError(
            f"{len(bad)} bad block{'s' * (len(bad) != 1)}"
            + (" dropped from the ledger" if repair else ""),
            remedy="start the same run again" if repair else remedy,
        )
    if means:
        raise IncompleteRunError(
            f"overviews are bad at {len(means)} place{'s' * (len(means) != 1)}",
            remedy=f"s2s-map overviews {out} makes them again",
        )
    if files:
        mended = f"s2s-map verify {out} --repair, or start the same run again"
        raise IncompleteRunError(
            f"{len(files)} bad file{'s' * (len(files) != 1)}, such as {files[0].file}",
            remedy=mended if can_be_remade(files) else "start the same run again",
        )
    if verified < needed:
        raise IncompleteRunError(
            f"{needed - verified} of {needed} needed blocks are not embedded",
            remedy="start the same run again",
        )


def _show(console: Console, what: str, lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        console.print(line, markup=False)
    if len(lines) > _SHOWN:
        console.print(f"and {len(lines) - _SHOWN:,} more {what}: --json lists all")


def _compare(out: str, other: str, console: Console, *, as_json: bool) -> None:
    from s2s_map.cli.reporting import reporter
    from s2s_map.pipeline.verbs.compare_stores import compare

    found = compare(out, other, reporter(console))
    if as_json:
        sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n")
    else:
        console.print(
            f"{found.same:,} blocks are the same to the byte, {found.close:,} within the "
            f"tolerance: cells at most {found.largest:.2g} of {found.tolerance:g} apart"
        )
        for block, reason in found.apart.items():
            console.print(f"{block}: {reason}", markup=False)
    if not found.whole:
        alone = len(found.only_here) + len(found.only_there)
        raise IncompleteRunError(
            f"{len(found.apart):,} blocks are further apart than {found.tolerance:g}, {alone:,} "
            "are finished in one of them only"
        )
