"""Web tiles over loopback: a known pattern without seams, each web tile fetched once."""

from __future__ import annotations

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fixtures_sentinel import pattern_at
from fixtures_webtiles import WebTileServer, make_entry, pattern_png, png
from odc.geo.crs import CRS
from rasterio.warp import transform_bounds
from starlette.responses import Response

from s2s_map.imagery.sources.open_source import open_source
from s2s_map.imagery.sources.xyz.fetcher import close_fetchers
from s2s_map.imagery.sources.xyz.levels import quad_level
from s2s_map.imagery.sources.xyz.source import XyzSource
from s2s_map.imagery.sources.xyz.zone import boxes_under
from s2s_map.tiling.patches import PatchLayout

pytestmark = pytest.mark.usefixtures("webtile_cache")

AREA = (6.0, 46.47, 6.06, 46.5)


def bounds_in(crs: str, pixel: float) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    west, south, east, north = transform_bounds("EPSG:4326", crs, *AREA)
    cols, rows = int((east - west) / pixel), int((north - south) / pixel)
    x, y = round(west / pixel) * pixel, round(south / pixel) * pixel
    return (x, y, x + cols * pixel, y + rows * pixel), (rows, cols)


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:3035", "EPSG:3857"])
@pytest.mark.parametrize("pixel", [5.0, 11.4285, 40.0])
def test_the_mosaic_is_the_pattern(server: WebTileServer, crs: str, pixel: float) -> None:
    source = open_source(make_entry(server.template)).over(AREA)
    bounds, shape = bounds_in(crs, pixel)
    block = source.read(bounds, shape, crs)
    assert block.valid.all()
    assert not block.holes
    error = np.abs(block.pixels - 255.0 * pattern_at(bounds, shape, crs))
    # Two roundings and cubic resampling of a wave of 1.5 km; the mean over 40 m flattens it a bit.
    assert error.max() <= 2.5
    assert max(server.asked.values()) == 1


def test_a_pixel_is_the_same_whichever_block_it_is_read_for(server: WebTileServer) -> None:
    source = open_source(make_entry(server.template)).over(AREA)
    for crs, pixel in (("EPSG:32632", 10.0), ("EPSG:3035", 160 / 7), ("EPSG:3857", 17.0)):
        bounds, shape = bounds_in(crs, pixel)
        whole = source.read(bounds, shape, crs)
        rows, cols = slice(31, 97), slice(45, 99)
        part = (
            bounds[0] + cols.start * pixel,
            bounds[3] - rows.stop * pixel,
            bounds[0] + cols.stop * pixel,
            bounds[3] - rows.start * pixel,
        )
        block = source.read(part, (rows.stop - rows.start, cols.stop - cols.start), crs)
        assert block.pixels.tobytes() == whole.pixels[:, rows, cols].tobytes()


@pytest.mark.parametrize("keep", [True, False], ids=["kept on disk", "no-store"])
def test_each_web_tile_is_fetched_once_with_halos_and_overlap(
    server: WebTileServer, keep: bool
) -> None:
    if not keep:
        server.answer = lambda tile, request: Response(
            pattern_png(tile.z, tile.x, tile.y), headers={"cache-control": "no-store"}
        )
    source = open_source(make_entry(server.template)).over(AREA)
    layout = PatchLayout(patch_m=2560.0, input_px=224, stride_m=640.0)
    west, north = 270_080.0, 5_153_920.0
    boxes = [
        (
            west + i * 1280.0,
            north - j * 1280.0 - 1280.0,
            west + i * 1280.0 + 1280.0,
            north - j * 1280.0,
        )
        for i in range(2)
        for j in range(2)
    ]
    sets = [layout.patches_for(box, "patch") for box in boxes]

    def read(index: int) -> bool:
        s = sets[index]
        return bool(source.read(s.read_bounds, s.read_shape, "EPSG:32632").valid.all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(4)))
    assert max(server.asked.values()) == 1
    counted = source.requests([(s.read_bounds, s.read_shape) for s in sets], "EPSG:32632")
    assert counted is not None
    assert counted.count == server.requests


def _read_in_a_process(entry_json: str, folder: str) -> bytes:
    import os

    from s2s_map.config.webtiles import XyzEntry

    os.environ["S2S_MAP_CACHE"] = folder
    source = XyzSource(XyzEntry.model_validate_json(entry_json), AREA)
    bounds, shape = bounds_in("EPSG:32632", 20.0)
    return source.read(bounds, shape, "EPSG:32632").pixels.tobytes()


def test_processes_share_the_cache(server: WebTileServer, tmp_path: Path) -> None:
    import multiprocessing

    entry = make_entry(server.template)
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        work = [(entry.model_dump_json(), str(tmp_path / "shared"))] * 2
        images = pool.starmap(_read_in_a_process, work)
    assert len(set(images)) == 1
    assert max(server.asked.values()) == 1


def test_a_stale_web_tile_is_asked_for_conditionally(
    server: WebTileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(tile: object, request: object) -> Response:
        headers = {"cache-control": "max-age=0", "etag": '"v1"'}
        if request.headers.get("if-none-match") == '"v1"':  # type: ignore[attr-defined]
            return Response(status_code=304, headers=headers)
        return Response(pattern_png(tile.z, tile.x, tile.y), headers=headers)  # type: ignore[attr-defined]

    server.answer = answer  # type: ignore[assignment]
    source = open_source(make_entry(server.template)).over(AREA)
    bounds, shape = bounds_in("EPSG:32632", 40.0)
    first = source.read(bounds, shape, "EPSG:32632")
    close_fetchers()  # As another run would begin.
    second = source.read(bounds, shape, "EPSG:32632")
    assert second.pixels.tobytes() == first.pixels.tobytes()
    assert set(server.asked.values()) == {2}
    conditional = [h for h in server.headers if "if-none-match" in h]
    assert len(conditional) == len(server.asked)


def test_the_rate_is_kept(server: WebTileServer) -> None:
    source = open_source(
        make_entry(server.template, manners={"per_second": 20.0, "connections": 4})
    ).over(AREA)
    bounds, shape = bounds_in("EPSG:32632", 40.0)
    began = time.monotonic()
    source.read(bounds, shape, "EPSG:32632")
    assert server.requests > 10
    assert time.monotonic() - began >= (server.requests - 1) / 20.0 * 0.95
    assert server.most_in_flight <= 4
    agents = {h["user-agent"] for h in server.headers}
    assert all(agent.startswith("s2s-map/") for agent in agents)


def test_it_pickles_and_describes_itself(server: WebTileServer) -> None:
    source = open_source(make_entry(server.template)).over(AREA)
    again = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert again.identity() == source.identity()
    assert source.identity()["level"] == 14
    assert source.describe() == "web tiles of level 14, pixels of 6.6 m"
    assert threading.active_count() < 50


def test_edges_of_what_there_is_are_no_data(server: WebTileServer) -> None:
    entry = make_entry(server.template, bounds=[6.0, 46.47, 6.03, 46.49])
    source = open_source(entry).over(AREA)
    bounds, shape = bounds_in("EPSG:32632", 20.0)
    block = source.read(bounds, shape, "EPSG:32632")
    assert 0.2 < block.valid_fraction < 0.9
    assert not block.pixels[:, ~block.valid].any()
    error = np.abs(block.pixels - 255.0 * pattern_at(bounds, shape, "EPSG:32632"))
    assert error[:, block.valid].max() <= 12.0
    assert not block.holes


@pytest.mark.parametrize("crs", ["EPSG:3460", "EPSG:32760"], ids=["Fiji's own", "UTM"])
def test_across_the_antimeridian(server: WebTileServer, crs: str) -> None:
    west, south, _, _ = transform_bounds("EPSG:4326", crs, 179.95, -17.05, 179.99, -17.0)
    x, y = round(west / 100) * 100.0, round(south / 100) * 100.0
    bounds = (x, y, x + 10_000.0, y + 5_000.0)
    ((boxes, _),) = boxes_under([bounds], CRS(crs), quad_level(12, 256))
    assert len(boxes) == 2
    image = png(np.full((3, 256, 256), 77, dtype=np.uint8))
    server.answer = lambda tile, request: Response(image)
    source = open_source(make_entry(server.template, zoom=12)).over((179.0, -18.0, -179.0, -16.0))
    block = source.read(bounds, (125, 250), crs)
    assert block.valid.mean() > 0.99
    assert (block.pixels[:, block.valid] == 77).all()
    columns = {int(path.split("/")[2]) for path in server.asked}
    assert {0, 4095} <= columns
    assert server.requests <= 16
