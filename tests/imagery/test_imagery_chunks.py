"""Chunks of raster files: each is fetched once, by one thread, and again when the file changes."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from fixtures_raster import Place as Corner
from fixtures_servers import serve_folder
from fixtures_waiting import HANG_S
from hypothesis import given
from hypothesis import strategies as st
from rasterio.shutil import copy as gdal_copy

from s2s_map.config.catalog import RasterEntry
from s2s_map.errors import ImageryChangedError, ImageryError
from s2s_map.imagery.chunks import Chunk, ChunkCache, Key, Place, _rectangles
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.opening import handles
from s2s_map.tiling.patches import PatchLayout

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster

UTM = "EPSG:32632"
WEST, NORTH = 400_000.0, 5_200_000.0


def make_entry(*uris: str, **fields: object) -> RasterEntry:
    known: dict[str, object] = {"type": "raster", "title": "t", "uri": uris, "sensor": "sentinel"}
    return RasterEntry.model_validate(known | {"licence": "l", "attribution": "a"} | fields)


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_rectangles_are_the_places_each_once(places: set[tuple[int, int]]) -> None:
    covered = [
        (row, col)
        for rows, cols in _rectangles(list(places))
        for row in range(rows.start, rows.stop)
        for col in range(cols.start, cols.stop)
    ]
    assert sorted(covered) == sorted(places)


def key(place: Place) -> Key:
    return ("a.tif", (0,), (1, 2, 3), None, place)


def chunk(value: int = 0) -> Chunk:
    return Chunk(np.full((3, 10, 10), value, np.uint8), None)


def test_threads_that_want_the_same_load_it_once() -> None:
    cache, loads = ChunkCache(10_000), []
    started, go = threading.Event(), threading.Event()

    def load(missing: list[Place]) -> dict[Place, Chunk]:
        loads.extend(missing)
        started.set()
        assert go.wait(HANG_S)
        return {place: chunk(place[1]) for place in missing}

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(cache.get, [key((0, 0)), key((0, 1))], load)
        assert started.wait(HANG_S)
        others = [pool.submit(cache.get, [key((0, 1)), key((0, 0))], load) for _ in range(3)]
        go.set()
        found = [future.result(HANG_S) for future in (first, *others)]
    assert sorted(loads) == [(0, 0), (0, 1)]
    assert all(one[0, 1].values[0, 0, 0] == 1 for one in found)


def test_what_is_kept_is_bounded_and_errors_are_not_kept() -> None:
    cache, loads = ChunkCache(700), []

    def load(missing: list[Place]) -> dict[Place, Chunk]:
        loads.extend(missing)
        return {place: chunk() for place in missing}

    def fail(missing: list[Place]) -> dict[Place, Chunk]:
        raise ImageryError("broken")

    with pytest.raises(ImageryError):
        cache.get([key((0, 0))], fail)
    for col in (0, 1, 0, 2, 0, 1):
        cache.get([key((0, col))], load)
    # Two are kept: 1 was dropped for 2, since 0 had been used later.
    assert [col for _, col in loads] == [0, 1, 2, 1]


@pytest.mark.parametrize("in_flight", [1, 4])
def test_overlapping_blocks_fetch_each_byte_about_once(tmp_path: Path, in_flight: int) -> None:
    side = 1536
    random = np.random.default_rng(0)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": side, "width": side}
    profile |= {"crs": UTM, "transform": rasterio.transform.from_origin(WEST, NORTH, 10.0, 10.0)}
    with rasterio.MemoryFile() as memory, memory.open(**profile) as made:
        made.write(random.integers(1, 255, (3, side, side), dtype=np.uint8))
        gdal_copy(made, tmp_path / "a.tif", driver="COG", compress="DEFLATE", overviews="NONE")
    layout = PatchLayout(patch_m=2560.0, input_px=224, stride_m=640.0)
    edges = [WEST + 1280.0 + i * 4480.0 for i in range(4)]
    top = NORTH - 1280.0
    blocks = [
        layout.patches_for((x, y - 4480.0, x + 4480.0, y), "patch")
        for y in (top, top - 4480.0)
        for x in edges[:2]
    ]
    with serve_folder(tmp_path) as files, ThreadPoolExecutor(in_flight) as pool:
        source = open_source(make_entry(f"{files.url}/a.tif"))
        files.sent = 0
        read = list(pool.map(lambda b: source.read(b.read_bounds, b.read_shape, UTM), blocks))
        assert all(block.valid.all() for block in read)
        assert files.sent <= 1.3 * (tmp_path / "a.tif").stat().st_size


def test_scenes_that_a_block_does_not_meet_are_not_opened(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    for i in range(6):
        place = Corner(UTM, WEST + i * 1000.0, NORTH, 10.0)
        make_raster(f"f/{i}.tif", place=place, shape=(100, 100))
    # The same ground again: nothing is left to see.
    make_raster("f/6.tif", place=Corner(UTM, WEST, NORTH, 10.0), shape=(100, 100))
    with serve_folder(tmp_path / "f") as files:
        source = open_source(make_entry(*(f"{files.url}/{i}.tif" for i in range(7))))
        files.requests.clear()
        block = source.read((WEST, NORTH - 500.0, WEST + 900.0, NORTH), (50, 90), UTM)
        assert block.valid.all()
        assert {path.split("?")[0] for path in files.requests} == {"/0.tif"}


def test_a_file_that_changes_is_read_anew(make_raster: MakeRaster) -> None:
    bounds = (720_300.0, -2_781_200.0, 721_200.0, -2_780_300.0)
    path = make_raster(values=np.full((3, 200, 200), 50))
    source = open_source(make_entry(str(path)))
    assert source.read(bounds, (90, 90), "EPSG:32621").pixels.max() == 50
    make_raster(values=np.full((3, 200, 200), 90))
    os.utime(path, ns=(1, 1))
    with pytest.raises(ImageryChangedError, match="replaced or changed"):
        source.read(bounds, (90, 90), "EPSG:32621")
    # Who opens it now reads what is there, and not the chunks that were kept of the other.
    anew = open_source(make_entry(str(path)))
    assert anew.read(bounds, (90, 90), "EPSG:32621").pixels.max() == 90
    path.unlink()
    with pytest.raises(ImageryError, match="no file"):
        source.read(bounds, (90, 90), "EPSG:32621")


def test_open_files_are_bounded(make_raster: MakeRaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "_MOST_IDLE", 3)
    paths = [make_raster(f"{i}.tif", shape=(10, 10)) for i in range(6)]
    for path in paths:
        with handles.lent_raster(str(path)) as first, handles.lent_raster(str(path)) as second:
            assert first is not second
    assert len(handles._idle) == 3
    with handles.lent_raster(str(paths[-1])) as again:
        assert not again.closed
        assert len(handles._idle) == 2
