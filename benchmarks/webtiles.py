"""Reading web tiles alone: blocks with their halo, from a server on loopback, without an encoder.

    python benchmarks/webtiles.py
    python benchmarks/webtiles.py --km 10 --in-flight 1 4 --repeats 1   # smoke

JPEG web tiles of 256 pixels at level 14 of noise over gradients are served by a process of its own,
after a wait that stands for the network. Blocks of 16 x 16 patches of 2,560 m at 75 % overlap are
read in model pixels (224 a patch), one after the other: `in flight` are the requests at a
time. MB/s are of decoded web tiles, each counted once; patches/s are those the blocks hold.
Fetched/needed is requests over distinct web tiles: 1 if each is asked for once. `kept` reads them
again from the cache on disk by a process that holds nothing in memory. The best of the repeats
counts.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import tempfile
import time
from typing import Any

import numpy as np
from PIL import Image
from serving import CONTEXT, LoopbackServer

from s2s_map.config.webtiles import XyzEntry
from s2s_map.imagery.sources.xyz.fetcher import close_fetchers
from s2s_map.imagery.sources.xyz.source import XyzSource
from s2s_map.tiling.patches import PatchLayout, PatchSet

CRS, WEST, NORTH = "EPSG:32632", 400_000.0, 5_200_000.0
AREA = (7.6, 46.4, 8.3, 46.96)
LAYOUT = PatchLayout(patch_m=2560.0, input_px=224, stride_m=640.0)
BLOCK_M = 16 * LAYOUT.stride_m


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--km", type=float, default=40.0, help="Side of the region.")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--wait-ms", type=float, default=20.0, help="Wait before an answer.")
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"load {os.getloadavg()[0]:.1f}; answers wait {args.wait_ms:g} ms"
    )
    side = max(1, round(args.km * 1000.0 / BLOCK_M))
    boxes = [
        (
            WEST + i * BLOCK_M,
            NORTH - (j + 1) * BLOCK_M,
            WEST + (i + 1) * BLOCK_M,
            NORTH - j * BLOCK_M,
        )
        for j in range(side)
        for i in range(side)
    ]
    blocks = [LAYOUT.patches_for(box, "patch") for box in boxes]
    print(f"{len(blocks)} blocks, {sum(block.count for block in blocks):,} patches")
    with Server(args.wait_ms / 1000.0) as server:
        for in_flight in args.in_flight:
            measure(server, blocks, in_flight, args.repeats)


def measure(server: Server, blocks: list[PatchSet], in_flight: int, repeats: int) -> None:
    """Read all blocks from the server, then from the disk; print the best of the repeats."""
    best = {"fetched": float("inf"), "kept": float("inf")}
    asked = needed = 0
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["S2S_MAP_CACHE"] = folder
            source = XyzSource(entry(server.url, in_flight), AREA)
            before = server.asked
            for kind in best:
                began = time.perf_counter()
                for block in blocks:
                    if not source.read(block.read_bounds, block.read_shape, CRS).valid.all():
                        raise RuntimeError("pixels without data")
                best[kind] = min(best[kind], time.perf_counter() - began)
                close_fetchers()
            asked = server.asked - before
            needed = server.distinct
    patches = sum(block.count for block in blocks)
    megabytes = needed * 256 * 256 * 3 / 1e6
    for kind, seconds in best.items():
        print(
            f"{kind:<8} {in_flight:>2} in flight: {megabytes / seconds:8.1f} MB/s "
            f"{patches / seconds:10,.0f} patches/s   fetched/needed {asked / needed:.2f}"
        )


def entry(url: str, in_flight: int) -> XyzEntry:
    """Return a catalog entry of the server, without a limit that matters."""
    return XyzEntry.model_validate(
        {
            "type": "xyz",
            "title": "generated",
            "url": f"{url}/{{z}}/{{x}}/{{y}}.jpg",
            "sensor": "sentinel",
            "licence": "CC0-1.0",
            "attribution": "nobody",
            "on_missing": "fail",
            "manners": {"connections": in_flight, "per_second": 100_000},
        }
    )


class Server(LoopbackServer):
    """A process that serves web tiles, and counts them."""

    def __init__(self, wait_s: float) -> None:
        self._asked, self._distinct = CONTEXT.Value("q", 0), CONTEXT.Value("q", 0)
        super().__init__(serve, wait_s, self._asked, self._distinct)

    @property
    def asked(self) -> int:
        """Web tiles asked for so far."""
        return int(self._asked.value)

    @property
    def distinct(self) -> int:
        """Different ones among them."""
        return int(self._distinct.value)


def serve(port: int, wait_s: float, asked: Any, distinct: Any) -> None:
    """Serve a few different images, by turns, until terminated."""
    import asyncio

    import uvicorn
    from starlette.requests import Request
    from starlette.responses import Response

    random = np.random.default_rng(0)
    bodies = []
    for _ in range(16):
        ground = np.linspace(60, 160, 256)[None, :, None] + np.linspace(0, 40, 256)[:, None, None]
        noise = random.integers(-8, 9, (256, 256, 3))
        buffer = io.BytesIO()
        Image.fromarray((ground + noise).astype(np.uint8)).save(buffer, "JPEG", quality=85)
        bodies.append(buffer.getvalue())
    seen: set[str] = set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = Request(scope).url.path
        if path == "/":
            await Response("ready")(scope, receive, send)
            return
        seen.add(path)
        asked.value += 1
        distinct.value = len(seen)
        await asyncio.sleep(wait_s)
        body = bodies[hash(path) % len(bodies)]
        headers = {"cache-control": "max-age=86400"}
        await Response(body, media_type="image/jpeg", headers=headers)(scope, receive, send)

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")


if __name__ == "__main__":
    main()
