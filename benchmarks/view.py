"""The map in the browser: how soon it is usable, its tiles, and questions over a whole screen.

    python benchmarks/view.py                  # 100,000 cells of 1,024 numbers, a minute
    python benchmarks/view.py --times 1 4 16   # 16 times as many: 7 GB of disk, minutes

A run of synthetic imagery and a synthetic model (`python:view:WIDE`, 1,024 float16 numbers a cell,
the shipped background vocabulary of 115 texts), with overviews; `s2s-map view` as a process of its
own, asked over HTTP as a browser does, by six connections. A screen is 1,280 x 800 px over all of
the map. Files are in the system's cache. On a machine that does other work look at the processor
time, which is that of the server.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import rasterio
import yaml
from numpy.typing import NDArray
from rasterio.transform import from_origin
from synthetic import hashed_numbers, on_python_path, untrained_card
from tiling import print_machine

from s2s_map.config.model import ModelCard

CELLS, DIM, CELL_M, TOKENS = 100_000, 1024, 160, 14
PATCH_M = CELL_M * TOKENS
CRS, WEST, NORTH = "EPSG:32637", 104_160.0, 1_026_400.0
SCREEN = (1280, 800)
CONNECTIONS = 6
DIRECTIONS = 12
QUESTIONS = 6
CHROMIUM = Path("/usr/bin/chromium")


class Wide:
    """Numpy in, numpy out: each token a mix of some directions, by its pixel, and noise."""

    takes_arrays = True
    dim, input_px, tokens_per_side = DIM, TOKENS, TOKENS
    audio_encoder = None
    device = "cpu"

    def __init__(self, card: ModelCard) -> None:
        self.card, self.name, self.sha256 = card, card.name, card.sha256
        rng = np.random.default_rng(0)
        self._directions = rng.standard_normal((DIRECTIONS, DIM), dtype=np.float32)
        self._noise = rng.standard_normal((4096, DIM), dtype=np.float32)

    def resolution_for(self, patch_m: float) -> float:
        """Metres a model pixel."""
        return patch_m / TOKENS

    def embed_slots(
        self, pixels: NDArray[np.uint8], resolution_m: float, level: str, slots: Sequence[Any]
    ) -> list[NDArray[np.float32]]:
        """Embed tokens, the same at every time."""
        seen = pixels.mean(axis=1).reshape(len(pixels), -1) / 255.0
        phases = np.arange(1, DIRECTIONS + 1)
        weights = np.cos(seen[..., None] * phases * 3.0).astype(np.float32)
        vectors = weights @ self._directions
        at = (seen * 1e6).astype(np.int64) % len(self._noise)
        vectors += self._noise[at]
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        return [vectors] * len(slots)

    def embed_text(self, text: str) -> NDArray[np.float32]:
        """Make a unit vector of a text's hash, near to the directions."""
        vector = hashed_numbers(text, DIRECTIONS) @ self._directions
        return (vector / np.linalg.norm(vector)).astype(np.float32)


class WideModel:
    """What ``python:view:WIDE`` names."""

    card = untrained_card(
        "wide", "Pixels in 1,024 numbers, untrained: for benchmarks", TOKENS, "d1"
    )

    def load(self, device: str) -> Wide:
        """Return the encoder."""
        return Wide(self.card)


WIDE = WideModel()


def main() -> None:
    """Make a run of each size, and look at it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, nargs="+", default=[1], help="times 100,000 cells")
    parser.add_argument("--folder", type=Path, help="for the runs")
    args = parser.parse_args()
    on_python_path()
    print_machine()
    for times in args.times:
        folder = Path(tempfile.mkdtemp(dir=args.folder))
        try:
            out = make_run(folder, times * CELLS)
            look(out, times * CELLS)
        finally:
            shutil.rmtree(folder)


def make_run(folder: Path, cells: int) -> Path:
    """Map so many cells."""
    side = -(-round(cells**0.5) // TOKENS) * TOKENS
    px = side + 4 * TOKENS
    rng = np.random.default_rng(1)
    coarse = rng.random((3, px // 16 + 2, px // 16 + 2))
    grown = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :px, :px]
    pixels = (40 + 180 * grown + 30 * rng.random(grown.shape)).astype(np.uint8)
    margin = 2 * PATCH_M
    with rasterio.open(
        folder / "scene.tif", "w", driver="GTiff", dtype="uint8", count=3, width=px, height=px,
        crs=CRS, transform=from_origin(WEST - margin, NORTH + margin, CELL_M, CELL_M), tiled=True,
    ) as scene:  # fmt: skip
        scene.write(pixels)
    entry = {
        "type": "raster", "title": "Noise", "uri": str(folder / "scene.tif"),
        "sensor": {"gsd_m": CELL_M, "patch_m": PATCH_M}, "licence": "CC0-1.0",
        "attribution": "nobody",
    }  # fmt: skip
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump({"noise": entry}))
    south, east = NORTH - side * CELL_M, WEST + side * CELL_M
    import geopandas
    import shapely

    region = folder / "square.gpkg"
    geopandas.GeoSeries([shapely.box(WEST, south, east, NORTH)], crs=CRS).to_file(region)
    out = folder / "out"
    config = {
        "output": str(out), "source": "noise", "region": str(region), "model": "python:view:WIDE",
        "device": "cpu", "queries": [{"name": "waves", "text": "waves on a shore"}],
        "grid": {"cell_m": CELL_M, "block_cells": 128, "crs": CRS},
        "patches": {"stride_m": PATCH_M},
    }  # fmt: skip
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    command = [str(Path(sys.executable).with_name("s2s-map")), "run", str(folder / "run.yaml")]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"\n{side} x {side} cells: run of {time.monotonic() - began:.0f} s", flush=True)
    return out


def look(out: Path, cells: int) -> None:
    """Print what looking at a run takes."""
    usable = page_usable(out) if CHROMIUM.exists() else math.nan
    process, url = start(out)
    try:
        root, _, token = url.partition("/#ask=")
        with httpx.Client(base_url=root, timeout=600, trust_env=False) as client:
            view = client.get("/api/view").json()
            tiles = screen(view["bounds"])
            kept = f"/tiles/{view['version']}/layer/waves/0"
            spent = [seconds(client, f"{kept}/{z}/{x}/{y}") for z, x, y in nearby(tiles) * 2]
            client.post("/api/prepare", headers={"x-s2s-map-token": token}, json={})
            asked = [
                question(process.pid, root, token, view["version"], tiles, f"sound {i} of {cells}")
                for i in range(QUESTIONS)
            ]
        peak = memory_mb(process.pid)
    finally:
        process.terminate()
        process.wait()
    first, *more = asked
    later = np.median(np.array(more), axis=0)
    kept_ms, p95 = np.median(spent) * 1e3, np.quantile(spent, 0.95) * 1e3
    print(f"  page usable after the command: {usable:.2f} s")
    print(f"  tile of a kept layer: median {kept_ms:.0f} ms, p95 of {len(spent)} {p95:.0f} ms")
    print(f"  first question, {len(tiles)} tiles: {_told(first)}")
    print(f"  the next {len(more)}, medians: {_told(later)}")
    print(f"  most memory of the server: {peak:.0f} MB", flush=True)


def _told(found: Sequence[float]) -> str:
    first, every, processor = found
    return f"first tile {first:.2f} s, all {every:.2f} s, processor time {processor:.2f} s"


def start(out: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the command; returns the process and the printed address."""
    command = [str(Path(sys.executable).with_name("s2s-map")), "view", str(out), "--no-open"]
    process = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101
    for line in process.stdout:
        found = re.search(r"http://\S+", line)
        if found:
            return process, found[0]
    raise SystemExit("s2s-map view ended before it printed an address")


def page_usable(out: Path) -> float:
    """Return the seconds from the command until the page shows its layer; of three tries."""
    from playwright.sync_api import sync_playwright

    tries = []
    arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        for _ in range(3):
            began = time.monotonic()
            process, url = start(out)
            page = browser.new_page(viewport={"width": SCREEN[0], "height": SCREEN[1]})
            page.goto(url)
            page.wait_for_selector("html[data-ready]")
            tries.append(time.monotonic() - began)
            page.close()
            process.terminate()
            process.wait()
        browser.close()
    return float(np.median(tries))


def screen(bounds: Sequence[float]) -> list[tuple[int, int, int]]:
    """Return the tiles of a screen over the whole of the bounds, at the zoom where it fits."""
    west, south, east, north = bounds
    zoom = math.log2(360 * SCREEN[1] / 512 / (mercator(north) - mercator(south)))
    z = round(zoom)
    # What the screen shows around the middle, in tiles, which are drawn larger or smaller.
    scale = 2 ** (zoom - z) * 512
    x = ((west + east) / 2 + 180) / 360 * 2**z
    y = (180 - (mercator(north) + mercator(south)) / 2) / 360 * 2**z
    wide, high = SCREEN[0] / scale / 2, SCREEN[1] / scale / 2
    columns = range(math.floor(x - wide), math.floor(x + wide) + 1)
    rows = range(math.floor(y - high), math.floor(y + high) + 1)
    left, right = ((edge + 180) / 360 * 2**z for edge in (west, east))
    top, bottom = ((180 - mercator(edge)) / 360 * 2**z for edge in (north, south))
    # The page asks for none outside of the map.
    return [
        (z, c, r) for r in rows for c in columns if left - 1 < c < right and top - 1 < r < bottom
    ]


def mercator(lat: float) -> float:
    """Return a latitude in degrees of Web Mercator."""
    return math.degrees(math.asinh(math.tan(math.radians(lat))))


def nearby(tiles: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return these tiles and those below them, as one who zooms in sees."""
    deeper = [(z + 1, 2 * x + i, 2 * y + j) for z, x, y in tiles for i in (0, 1) for j in (0, 1)]
    return [*tiles, *deeper]


def seconds(client: httpx.Client, path: str) -> float:
    """Return how long a request takes."""
    began = time.monotonic()
    client.get(path).raise_for_status()
    return time.monotonic() - began


def question(
    pid: int, root: str, token: str, version: str, tiles: list[tuple[int, int, int]], text: str
) -> tuple[float, float, float]:
    """Return the seconds until a new question's first tile, until all, and of the processor."""
    began, used = time.monotonic(), processor_s(pid)
    ends = []
    with httpx.Client(base_url=root, timeout=600, trust_env=False) as client:
        given = {"x-s2s-map-token": token}
        asked = client.post("/api/questions", headers=given, json={"texts": [text]}).json()

        def draw(tile: tuple[int, int, int]) -> None:
            z, x, y = tile
            path = f"/tiles/{version}/question/{asked['id']}/0/{z}/{x}/{y}"
            client.get(path).raise_for_status()
            ends.append(time.monotonic() - began)

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(draw, tiles))
    return min(ends), max(ends), processor_s(pid) - used


def processor_s(pid: int) -> float:
    """Return the processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Return the most memory that a process ever held."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else math.nan


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
