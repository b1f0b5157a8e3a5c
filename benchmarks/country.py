"""A country from search to GeoTIFF on loopback: requests, seconds and memory of one run.

    python benchmarks/country.py                                        # Kenya at 640 m
    python benchmarks/country.py --region 36.6,-1.6,37.1,-1.2 --dates 4   # small

Sentinel-2 as a public API has it: tiles of 110 km every 100 km in the zones of UTM, at `--dates`
dates of a year, of which the source takes the least cloudy. Behind all scenes lie two images, whose
place and zone are written into their headers as they are served. The encoder is a mean of colours:
what is left is the search, reading, and writing maps. Servers and run are processes of their own.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
import yaml
from odc.geo.crs import CRS
from rasterio.shutil import copy as gdal_copy
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from fixtures_plain_model import Plain, PlainEncoder
from fixtures_servers import serve_app
from fixtures_stac_api import StacServer, scene

from s2s_map.config.model import ModelCard
from s2s_map.regions.projections import LONLAT, project
from s2s_map.regions.region_file import read_outline

START = datetime(2023, 1, 3, 8, tzinfo=UTC)
TILE_M, EVERY_M, PIXEL_M = 109_800.0, 100_000.0, 10.0
ORIGIN, ZONE = (300_000.0, 5_000_000.0), 32_631
INPUT_PX = 8

_RUN = """
import json, re, sys, time
from s2s_map import load_run_config, make_plan, resolve, run
from s2s_map.reporter import Reporter

class Stages(Reporter):
    took, at = {}, 0.0
    def start(self, stage, *about):
        self.now, self.at = stage, time.monotonic()
    def finish(self):
        self.took[self.now] = self.took.get(self.now, 0.0) + time.monotonic() - self.at

config = load_run_config(sys.argv[1])
plan = make_plan(resolve(config))
watch = Stages()
done = run(config, reporter=watch)
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
print(json.dumps({
    "planned_memory": plan.memory_bytes, "planned_scenes": plan.scenes.most,
    "planned_requests": plan.scenes.requests, "cells": plan.cells, "blocks": plan.blocks,
    "peak": peak, "processor_s": time.process_time(), "stages": watch.took,
    "holes": len(done.record.holes), "failed": len(done.record.failed),
}))
"""


class FreeEncoder(PlainEncoder):
    """Mean colours of a patch, of 8 x 8 pixels."""

    input_px, tokens_per_side = INPUT_PX, 1

    def resolution_for(self, patch_m: float) -> float:
        """Metres of a pixel."""
        return patch_m / INPUT_PX

    def embed_slots(
        self, pixels: np.ndarray, resolution_m: float, level: str, slots: Any
    ) -> list[np.ndarray]:
        """Unit vectors of patches."""
        colours = pixels.mean(axis=(2, 3), dtype=np.float32) / 255
        vectors = np.concatenate([colours, 1 - colours, colours[:, :2] ** 2], axis=-1)
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        return [vectors[:, None] if level == "token" else vectors] * len(slots)


def _card() -> ModelCard:
    image = Plain.card.config.image.model_copy(update={"input_px": INPUT_PX, "tokens_per_side": 1})
    config = Plain.card.config.model_copy(update={"image": image})
    return Plain.card.model_copy(update={"name": "free", "config": config})


class Free(Plain):
    """What ``python:country:FREE`` names."""

    card = _card()

    def load(self, device: str) -> FreeEncoder:
        """The encoder."""
        return FreeEncoder(self.card)


FREE = Free()


@dataclass
class Files:
    """Images behind scenes, each at its own place.

    Attributes:
        images: Bytes of a band and of the classes.
        counts: Requests and bytes of bodies.
    """

    images: dict[str, bytes]
    counts: Counter[str] = field(default_factory=Counter)

    async def get(self, request: Request) -> Response:
        """Answer with a range of an image."""
        zone, x, y = (int(request.path_params[name]) for name in ("zone", "x", "y"))
        image = self.images[request.path_params["kind"]]
        start, stop, status = 0, len(image), 200
        if "range" in request.headers:
            first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
            start, status = int(first), 206
            stop = min(stop, int(last) + 1) if last else stop
        body = image[start:stop]
        if start < 65_536:
            body = placed(image[: max(stop, 65_536)], zone, x, y)[start:stop]
        self.counts["requests"] += 1
        self.counts["bytes"] += len(body)
        headers = {"accept-ranges": "bytes", "etag": f'"{zone}-{x}-{y}"'}
        if status == 206:
            headers["content-range"] = f"bytes {start}-{start + len(body) - 1}/{len(image)}"
        return Response(body, status, headers, media_type="image/tiff")


def placed(header: bytes, zone: int, x: int, y: int) -> bytes:
    """Return the start of a GeoTIFF with another zone and corner in it."""
    for there, here in (
        (struct.pack("<2d", *ORIGIN), struct.pack("<2d", float(x), float(y))),
        (struct.pack("<4H", 3072, 0, 1, ZONE), struct.pack("<4H", 3072, 0, 1, zone)),
    ):
        if header.count(there) != 1:
            raise SystemExit("GDAL writes GeoTIFFs in another way: place and zone are not found")
        header = header.replace(there, here)
    return header


def write_images(folder: Path) -> dict[str, bytes]:
    """Return a band and classes of a whole tile as COGs."""
    rng, found = np.random.default_rng(0), {}
    for kind, pixel, dtype in (("band", PIXEL_M, "uint16"), ("scl", 2 * PIXEL_M, "uint8")):
        side = round(TILE_M / pixel)
        coarse = rng.integers(1300, 2600, (61, 61)) if kind == "band" else np.full((61, 61), 4)
        values = coarse.astype(dtype).repeat(side // 61, 0).repeat(side // 61, 1)
        profile = {
            "driver": "GTiff",
            "dtype": dtype,
            "count": 1,
            "height": side,
            "width": side,
            "crs": f"EPSG:{ZONE}",
            "transform": from_origin(*ORIGIN, pixel, pixel),
            "nodata": 0,
            "tiled": True,
        }
        with rasterio.open(folder / "raw.tif", "w", **profile) as data:
            data.write(values, 1)
        options = {"blocksize": 1024, "compress": "deflate", "overview_resampling": "average"}
        gdal_copy(folder / "raw.tif", folder / f"{kind}.tif", driver="COG", **options)
        found[kind] = (folder / f"{kind}.tif").read_bytes()
    return found


def items_over(outline: shapely.Geometry, dates: int, root: str) -> list[dict[str, Any]]:
    """Return scenes over an outline in degrees."""
    west, _, east, _ = outline.bounds
    found = []
    for zone in range(math.floor((west + 180) / 6) + 1, math.floor((east + 180) / 6) + 2):
        strip = shapely.box(-186 + 6 * zone, -80, -180 + 6 * zone, 84).intersection(outline)
        if strip.is_empty:
            continue
        # North of the equator and south of it in one zone, whose northings become negative.
        code = 32_600 + zone
        there = project(strip, LONLAT, CRS(f"EPSG:{code}"))
        x0, y0, x1, y1 = (edge / EVERY_M for edge in there.bounds)
        for col in range(math.floor(x0), math.ceil(x1)):
            for row in range(math.floor(y0), math.ceil(y1)):
                x, y = col * EVERY_M, row * EVERY_M + TILE_M
                box = (x, y - TILE_M, x + TILE_M, y)
                if not there.intersects(shapely.box(*box)):
                    continue
                found += visits(f"{zone}{col:02}{row:+03}", code, box, dates, root)
    return found


def visits(
    tile: str, code: int, box: tuple[float, float, float, float], dates: int, root: str
) -> list[dict[str, Any]]:
    lonlat = transform_bounds(f"EPSG:{code}", "EPSG:4326", *box)
    number, found = sum(map(ord, tile)), []
    for visit in range(dates):
        item = scene(
            tile,
            lonlat,
            START + timedelta(days=360 / dates * visit, minutes=number % 50),
            (number * 37 + visit * 61) % 100,
            **{
                "sat:relative_orbit": visit % 2,
                "s2:processing_baseline": "05.09",
                "proj:code": f"EPSG:{code}",
            },
        )
        for name, asset in item["assets"].items():
            kind, pixel = ("scl", 2 * PIXEL_M) if name == "scl" else ("band", PIXEL_M)
            side = round(TILE_M / pixel)
            place = f"{code}/{box[0]:.0f}/{box[3]:.0f}"
            asset["href"] = f"{root}/files/{place}/{visit}/{name}/{kind}.tif"
            asset["proj:shape"] = [side, side]
            asset["proj:transform"] = [pixel, 0, box[0], 0, -pixel, box[3]]
        found.append(item)
    return found


def measure(
    folder: Path, region: str | list[float], cell_m: int, dates: int, per_tile: int
) -> dict[str, Any]:
    """Run once in a folder; returns what the run and the servers counted."""
    files, api = Files(write_images(folder)), StacServer([])
    routes = [
        Route("/", api.root),
        Route("/search", api.search, methods=["POST"]),
        Route("/files/{zone}/{x}/{y}/{visit}/{band}/{kind}.tif", files.get),
    ]
    outline = read_outline(region, ()).lonlat
    with serve_app(Starlette(routes=routes)) as url:
        api.url, api.items = url, items_over(outline.buffer(0.1), dates, url)
        entry = {
            "type": "stac",
            "title": "Synthetic Sentinel-2",
            "url": url,
            "collection": "sentinel-2-l2a",
            "time": "2023-01-01/2023-12-31",
            "max_per_tile": per_tile,
            "sensor": "sentinel",
            "licence": "CC0-1.0",
            "attribution": "nobody",
            "manners": {"per_second": 1000},
        }
        config = {
            "output": str(folder / "out"),
            "source": "synthetic",
            "region": region,
            "model": "python:country:FREE",
            "device": "cpu",
            "queries": [{"name": "birds", "text": "birds"}],
            "grid": {"cell_m": cell_m},
            "patches": {"stride_m": cell_m, "level": "patch"},
        }
        (folder / "data_catalog.yaml").write_text(yaml.safe_dump({"synthetic": entry}))
        (folder / "job.yaml").write_text(yaml.safe_dump(config))
        here = Path(__file__).resolve().parent
        paths = os.pathsep.join([str(here), str(here.parent / "tests")])
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-c", _RUN, "job.yaml"],
            cwd=folder,
            env={**os.environ, "S2S_MAP_CACHE": str(folder / "cache"), "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        took = time.monotonic() - began
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    chosen = len(json.loads(next(folder.rglob("search.json")).read_text())["features"])
    found |= {"seconds": took, "scenes": len(api.items), "chosen": chosen}
    found |= {"searches": len(api.asked), "reads": files.counts["requests"]}
    return found | {"bytes": files.counts["bytes"], "tif": sorted(folder.rglob("out/**/*.tif"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--region", default="Kenya", help="a place, or west,south,east,north")
    parser.add_argument("--cell", type=int, default=640, help="metres")
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--per-tile", type=int, default=8, help="scenes of a tile and orbit")
    args = parser.parse_args()
    region = args.region
    if "," in region:
        region = [float(edge) for edge in region.split(",")]
    with tempfile.TemporaryDirectory(prefix="s2s-map-country-") as name:
        found = measure(Path(name), region, args.cell, args.dates, args.per_tile)
        sizes = {path.name: path.stat().st_size for path in found.pop("tif")}
    stages = found.pop("stages")
    print("| what | figure |\n|---|--:|")
    for what, figure in found.items():
        print(f"| {what} | {figure:,.0f} |")
    print(f"| stages | {', '.join(f'{name} {took:.0f} s' for name, took in stages.items())} |")
    print(f"GeoTIFFs: {sizes}")


if __name__ == "__main__":
    main()
