"""Reading alone: blocks of Sentinel-like imagery, with their halo, without an encoder.

    python benchmarks/imagery.py
    python benchmarks/imagery.py --side 2048 --in-flight 1 4 --repeats 1   # smoke

Imagery is generated in a temporary folder: noise over gradients, 8 bit, 10 m, deflated COGs of
512-pixel tiles, as one scene, as 50 scenes, served by HTTP on loopback from a process of its own,
and so as one scene of another CRS, which is warped. Blocks of 16 x 16 patches of 256 pixels are
read in model pixels (224 a patch), resampling included. What is counted:

- MB/s: source pixels of the region, each once whatever the overlap, by the clock.
- patches/s: those the blocks hold, by the clock.
- read/needed: bytes this process asked files for (rchar of /proc/self/io, headers and page cache
  included), or bytes of bodies the server sent, over the bytes of the files. Each chunk of them is
  needed (but for the corners of the warped one), so 1 means that nothing was read twice. Every
  measurement reads files of other names: what earlier ones kept does not help.
- per core: patches over the CPU time of this process, all threads; times 16 it is what 16 cores
  would read if nothing else held them up, against an encoder of 5,000 patches/s.

Files were just written, so they come from the page cache, and loopback has no latency: real disks
and networks are slower, and gain more from reads in flight. The best of the repeats counts.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.shutil import copy as gdal_copy
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds
from serving import CONTEXT, LoopbackServer

from s2s_map.config.catalog import RasterEntry
from s2s_map.imagery.sources.raster.source import RasterSource
from s2s_map.tiling.patches import PatchLayout, PatchSet

CRS, WEST, NORTH, GSD_M = "EPSG:32632", 400_000.0, 5_200_000.0, 10.0
ORIGIN = from_origin(WEST, NORTH, GSD_M, GSD_M)
OTHER_CRS = "EPSG:3035"
PATCH_M, BLOCK_PATCHES = 2560.0, 16
ENCODER, CORES = 5000.0, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4096, help="Pixels of the region's side.")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--overlap", type=float, nargs="+", default=[0.75, 0.5])
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"load {os.getloadavg()[0]:.1f}; GDAL {rasterio.__gdal_version__}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pixels = make_pixels(args.side)
        one = [write(folder / "one.tif", pixels)]
        fifty = write_mosaic(folder, pixels)
        other = [write_other(folder, args.side)]
        with Server(folder) as server:
            kinds: list[tuple[str, list[Path], str, Callable[[], int]]] = [
                ("local COG", one, f"{folder}/", local_bytes),
                (f"local mosaic of {len(fifty)}", fifty, f"{folder}/", local_bytes),
                ("HTTP COG", one, f"{server.url}/", lambda: server.sent),
                ("HTTP COG, warped", other, f"{server.url}/", lambda: server.sent),
            ]
            for overlap in args.overlap:
                blocks = block_reads(args.side, overlap)
                patches = sum(block.count for block in blocks)
                print(
                    f"{args.side} x {args.side} px, overlap {overlap:.0%}: "
                    f"{len(blocks)} blocks, {patches:,} patches"
                )
                for title, files, root, counter in kinds:
                    for in_flight in args.in_flight:
                        measure(title, files, root, counter, blocks, in_flight, args)


def measure(
    title: str,
    files: list[Path],
    root: str,
    counter: Callable[[], int],
    blocks: list[PatchSet],
    in_flight: int,
    args: argparse.Namespace,
) -> None:
    """Read all blocks, print the best of the repeats."""
    best, busy, read = float("inf"), float("inf"), 0
    for _ in range(args.repeats):
        with renamed(files) as linked:
            source = RasterSource.open(entry([f"{root}{name}" for name in linked]))

            def one(block: PatchSet, source: RasterSource = source) -> float:
                return source.read(block.read_bounds, block.read_shape, CRS).valid_fraction

            before, began, cpu = counter(), time.perf_counter(), time.process_time()
            with ThreadPoolExecutor(in_flight) as pool:
                seen = list(pool.map(one, blocks))
            best = min(best, time.perf_counter() - began)
            busy = min(busy, time.process_time() - cpu)
            read = counter() - before
        if min(seen) < 1.0:
            raise RuntimeError(f"{title}: pixels without data")
    patches = sum(block.count for block in blocks)
    size = sum(file.stat().st_size for file in files)
    megabytes = args.side**2 * 3 / 1e6
    core = patches / busy
    print(
        f"{title:<20} {in_flight:>2} in flight: {megabytes / best:8.1f} MB/s "
        f"{patches / best:10,.0f} patches/s   read/needed {read / size:.2f}   "
        f"per core {core:,.0f}, x {CORES} = {core * CORES:,.0f} "
        f"({core * CORES / ENCODER:.1f} x the encoder)"
    )


@contextmanager
def renamed(files: list[Path]) -> Iterator[list[str]]:
    """Give files other names, in the same folder, for a while."""
    mark = uuid.uuid4().hex[:8]
    linked = [file.with_name(f"{mark}-{file.name}") for file in files]
    for file, link in zip(files, linked, strict=True):
        link.hardlink_to(file)
    try:
        yield [link.name for link in linked]
    finally:
        for link in linked:
            link.unlink()


def block_reads(side: int, overlap: float) -> list[PatchSet]:
    """Return the patches of every block that lies in the region with its halo."""
    step = PATCH_M * (1.0 - overlap)
    layout = PatchLayout(patch_m=PATCH_M, input_px=224, stride_m=step)
    halo, block = PATCH_M / 2.0, BLOCK_PATCHES * step
    west, east = inner_edges(WEST + halo, WEST + side * GSD_M - halo, step)
    south, north = inner_edges(NORTH - side * GSD_M + halo, NORTH - halo, step)
    boxes = [
        (x, max(y - block, south), min(x + block, east), y)
        for y in np.arange(north, south, -block)
        for x in np.arange(west, east, block)
    ]
    return [layout.patches_for(box, "patch") for box in boxes]


def inner_edges(low: float, high: float, step: float) -> tuple[float, float]:
    """Return the outermost multiples of a step between two numbers."""
    return math.ceil(low / step) * step, math.floor(high / step) * step


def make_pixels(side: int) -> NDArray[np.uint8]:
    """Return gradients with noise, which deflate to about a half, as imagery does."""
    random = np.random.default_rng(0)
    ramp = np.linspace(40, 180, side, dtype=np.float32)
    ground = (ramp[:, None] + ramp[None, :]) / 2.0
    noise = random.integers(-8, 9, (3, side, side), dtype=np.int8)
    return np.clip(ground[None] + noise, 1, 255).astype(np.uint8)


def write_other(folder: Path, side: int) -> Path:
    """Write a scene that covers the region in the continent's equal-area CRS."""
    box = (WEST, NORTH - side * GSD_M, WEST + side * GSD_M, NORTH)
    west, south, east, north = transform_bounds(CRS, OTHER_CRS, *box)
    pixels = make_pixels(math.ceil(max(east - west, north - south) / GSD_M))
    return write(
        folder / "other.tif", pixels, crs=OTHER_CRS, origin=from_origin(west, north, GSD_M, GSD_M)
    )


def write(
    path: Path,
    pixels: NDArray[np.uint8],
    row: int = 0,
    col: int = 0,
    crs: str = CRS,
    origin: Affine = ORIGIN,
) -> Path:
    """Write pixels as a COG without overviews, which are not read at this resolution."""
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "crs": crs,
        "transform": origin * Affine.translation(col, row),
    }
    with rasterio.MemoryFile() as memory, memory.open(**profile) as made:
        made.write(pixels)
        made.colorinterp = [
            rasterio.enums.ColorInterp.red,
            rasterio.enums.ColorInterp.green,
            rasterio.enums.ColorInterp.blue,
        ]
        gdal_copy(made, path, driver="COG", compress="DEFLATE", level=1, overviews="NONE")
    return path


def write_mosaic(folder: Path, pixels: NDArray[np.uint8]) -> list[Path]:
    """Write 10 x 5 scenes that together are the region."""
    rows = np.array_split(np.arange(pixels.shape[1]), 10)
    cols = np.array_split(np.arange(pixels.shape[2]), 5)
    return [
        write(
            folder / f"part-{r[0]}-{c[0]}.tif",
            pixels[:, r[0] : r[-1] + 1, c[0] : c[-1] + 1],
            row=int(r[0]),
            col=int(c[0]),
        )
        for r in rows
        for c in cols
    ]


def entry(uris: list[str]) -> RasterEntry:
    """Return a catalog entry over files."""
    return RasterEntry.model_validate(
        {
            "type": "raster",
            "title": "generated",
            "uri": uris,
            "sensor": "sentinel",
            "licence": "CC0-1.0",
            "attribution": "nobody",
        }
    )


def local_bytes() -> int:
    """Return the bytes this process has asked files for, from the page cache or not."""
    for line in Path("/proc/self/io").read_text().splitlines():
        name, value = line.split(": ")
        if name == "rchar":
            return int(value)
    raise RuntimeError("no rchar in /proc/self/io")


class Server(LoopbackServer):
    """A process that serves a folder with ranges, and counts what it sends."""

    def __init__(self, folder: Path) -> None:
        self._sent = CONTEXT.Value("q", 0)
        super().__init__(serve, folder, self._sent)

    @property
    def sent(self) -> int:
        """Bytes of bodies sent so far."""
        return int(self._sent.value)


def serve(port: int, folder: Path, sent: Any) -> None:
    """Serve a folder until terminated."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    inner = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def counted(message: Any) -> None:
            with sent.get_lock():
                sent.value += len(message.get("body", b""))
            await send(message)

        await inner(scope, receive, counted)

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")


if __name__ == "__main__":
    main()
