"""What searching a country costs: requests and seconds against a STAC API on loopback.

    python benchmarks/stac_search.py
    python benchmarks/stac_search.py --countries Kenya --ways well --wait-ms 0   # smoke

A synthetic API has 1,000 MGRS-like tiles (1.1 degrees, every degree) over the country's box at 60
dates, with clouds spread evenly from 0 to 100 %. It answers after `--wait-ms`, in each of the ways
that public servers are known for.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import shapely
from starlette.responses import Response

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from fixtures_stac_api import QUERY, SORT, Asked, StacServer, fails, scene, serve_synthetic

from s2s_map.catalog.stac_items import choose, kept
from s2s_map.config.stac import StacEntry
from s2s_map.imagery.sources.stac.search.parts import region_of
from s2s_map.imagery.sources.stac.search.walking import search
from s2s_map.regions.place_names import find_place
from s2s_map.regions.places import place_outline, shipped_places

TILES, DATES = 1000, 60
START = datetime(2023, 1, 3, 10, tzinfo=UTC)


def tiles_over(outline: shapely.Geometry) -> list[tuple[float, float, float, float]]:
    """Return about TILES boxes over an outline, the step chosen for it."""
    step = math.sqrt(outline.area / TILES)
    while True:
        west, south, east, north = outline.bounds
        boxes = [
            (west + c * step, south + r * step, west + (c + 1.1) * step, south + (r + 1.1) * step)
            for r in range(math.ceil((north - south) / step))
            for c in range(math.ceil((east - west) / step))
        ]
        there = [box for box in boxes if outline.intersects(shapely.box(*box))]
        if len(there) <= TILES:
            return there
        step *= 1.02


def ways(broken: str) -> dict[str, Callable[[Asked], Response | None]]:
    """Return how servers behave."""
    return {
        "well": lambda _: None,
        "fails above 1 degree": lambda asked: (
            fails(500, "the request exceeded the maximum allowed time")
            if asked.box[3] - asked.box[1] > 1.01
            else None
        ),
        "502 above 50 items a page": lambda asked: fails(502) if asked.limit > 50 else None,
        "second page always 500": lambda asked: fails(500) if asked.first == 50 else None,
        "every 50th answer 503": lambda asked: fails(503) if asked.count % 50 == 49 else None,
        "one scene never answered": lambda asked: fails(500) if broken in asked.page else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--countries", nargs="+", default=["Kenya", "United States"])
    parser.add_argument("--wait-ms", type=float, default=50.0)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--ways", nargs="+", help="Those that begin so; all if left out.")
    args = parser.parse_args()
    print(
        "| country | server | scenes | requests | at 50 ms one by one | s | CPU s | same | holes |"
    )
    print("|---|---|--:|--:|--:|--:|--:|---|--:|")
    for country in args.countries:
        outline = place_outline(find_place(country, shipped_places()))
        if country == "United States":
            # The contiguous part, the largest.
            outline = max(shapely.get_parts(outline), key=lambda part: part.area)
        measure(country, outline, args)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def measure(country: str, outline: shapely.Geometry, args: argparse.Namespace) -> None:
    boxes = tiles_over(outline)
    items = [
        scene(
            f"T{i:04}",
            box,
            START + timedelta(days=6 * visit, minutes=i % 50),
            (i * 37 + visit * 61) % 100,
            **{"sat:relative_orbit": visit % 2},
        )
        for i, box in enumerate(boxes)
        for visit in range(DATES)
    ]
    region = region_of(outline.bounds, outline)
    clear = next(i for i in items if i["properties"]["eo:cloud_cover"] == 1)
    for way, misbehave in ways(clear["id"]).items():
        if args.ways and not way.startswith(tuple(args.ways)):
            continue
        server = StacServer(items, misbehave, (QUERY, SORT), wait_s=args.wait_ms / 1e3)
        if way == "second page always 500":
            server.cap = 50
        with tempfile.TemporaryDirectory() as folder, serve_synthetic(server):
            os.environ["S2S_MAP_CACHE"] = folder
            entry = StacEntry(
                type="stac",
                title="t",
                url=server.url,
                collection="sentinel-2-l2a",
                time="2023-01-01/2023-12-31",
                sensor="sentinel",
                licence="l",
                attribution="a",
                on_missing_search="nodata",
                manners={"connections": args.connections, "first_wait_s": 0.01},
            )
            began, cpu = time.monotonic(), time.process_time()
            found = search(entry, outline.bounds, outline)
            seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        one = [kept(i, entry) for i in items if region.intersects(shapely.box(*i["bbox"]))]
        same = [i["id"] for i in choose(one, entry)] == [i["id"] for i in found.items]
        count = len(server.asked)
        print(
            f"| {country} | {way} | {len(items):,} | {count:,} | {count * 0.05:.0f} s "
            f"| {seconds:.0f} | {cpu:.0f} | {'yes' if same else 'no'} | {len(found.holes)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
