"""Sparse files and pixels that are not square: what is there is read, once, and no more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS
from rasterio.windows import Window

from s2s_map.catalog.scene import Scene, inspect_scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.imagery import aligned, warped
from s2s_map.imagery.held import held
from s2s_map.imagery.sources.raster.reading import read_block

WEST, NORTH = 600_000.0, 7_200_000.0


class Counted:
    """Counts the source pixels that reads fetch, and how often."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pixels = self.reads = 0
        for module in (aligned, warped):
            monkeypatch.setattr(module, "read_native", self._counting(module.read_native))

    def _counting(self, read: object) -> object:
        def counted(scene: Scene, rows: slice, cols: slice, entry: RasterEntry) -> object:
            self.reads += 1
            self.pixels += (rows.stop - rows.start) * (cols.stop - cols.start)
            return read(scene, rows, cols, entry)  # type: ignore[operator]

        return counted


def entry_of(path: Path, **fields: object) -> RasterEntry:
    common = {"title": "x", "sensor": "landsat", "licence": "a", "attribution": "b"}
    return RasterEntry(type="raster", uri=str(path), **common, **fields)  # type: ignore[arg-type]


def write(
    path: Path, shape: tuple[int, int], pixel: tuple[float, float], **profile: object
) -> NDArray[np.uint8]:
    """Write a file of which one square of 256 pixels in the middle is there."""
    settings = {
        "driver": "GTiff", "count": 3, "dtype": "uint8", "crs": "EPSG:32721", "nodata": 0,
        "height": shape[0], "width": shape[1], "sparse_ok": True, "tiled": True,
        "blockxsize": 256, "blockysize": 256, **profile,
    }  # fmt: skip
    some = np.random.default_rng(0).integers(1, 255, (3, 256, 256), dtype=np.uint8)
    middle = [size // 512 * 256 for size in shape]
    transform = Affine(pixel[0], 0.0, WEST, 0.0, -pixel[1], NORTH)
    with rasterio.open(path, "w", transform=transform, **settings) as dataset:
        dataset.write(some, window=Window(middle[1], middle[0], 256, 256))
    return some


@pytest.mark.parametrize(
    "profile", [{}, {"interleave": "band"}, {"bigtiff": "YES"}, {"endianness": "BIG"}]
)
@pytest.mark.parametrize("crs", ["EPSG:32721", "EPSG:6933"])
def test_a_sparse_file_is_read_where_it_holds_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: dict[str, object], crs: str
) -> None:
    path = tmp_path / "sparse.tif"
    write(path, (20_480, 20_480), (1.0, 1.0), **profile)
    entry = entry_of(path)
    scene = inspect_scene(str(path), entry)
    counted = Counted(monkeypatch)
    x, y = WEST, NORTH
    if crs != "EPSG:32721":
        to = CRS("EPSG:32721").transformer_to_crs(CRS(crs), always_xy=True)
        x, y = (round(v / 160.0) * 160.0 for v in to(WEST, NORTH))
    block = read_block([scene], (x, y - 20_480.0, x + 20_480.0, y), (128, 128), CRS(crs), entry)
    assert 1 <= block.valid.sum() <= 9
    # All of it would be 420 million pixels; parts around the square reach beyond it.
    assert counted.pixels < 70_000_000
    sees = held(scene, entry)
    assert sees is not None
    assert sees(slice(0, 20_480), slice(0, 20_480))
    assert not sees(slice(0, 10_000), slice(0, 20_480))


def test_a_sparse_file_is_mapped_as_a_whole_one(tmp_path: Path) -> None:
    some = write(tmp_path / "sparse.tif", (2048, 2048), (10.0, 10.0))
    whole = np.zeros((3, 2048, 2048), dtype=np.uint8)
    whole[:, 1024:1280, 1024:1280] = some
    with rasterio.open(tmp_path / "sparse.tif") as source:
        profile = {**source.profile, "sparse_ok": False}
    with rasterio.open(tmp_path / "whole.tif", "w", **profile) as dataset:
        dataset.write(whole)
    found = []
    for name in ("sparse.tif", "whole.tif"):
        entry = entry_of(tmp_path / name)
        scene = inspect_scene(str(tmp_path / name), entry)
        assert (held(scene, entry) is None) == (name == "whole.tif")
        bounds = (WEST, NORTH - 20_480.0, WEST + 20_480.0, NORTH)
        found.append(read_block([scene], bounds, (1280, 1280), CRS("EPSG:32721"), entry))
    assert np.array_equal(found[0].pixels, found[1].pixels)
    assert np.array_equal(found[0].valid, found[1].valid)


def test_what_is_not_there_counts_where_nothing_says_that_it_does_not(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    write(path, (2048, 2048), (10.0, 10.0), nodata=None)
    entry = entry_of(path)
    assert held(inspect_scene(str(path), entry), entry) is None
    entry = entry_of(path, nodata=7)
    assert held(inspect_scene(str(path), entry), entry) is None


@pytest.mark.parametrize("crs", ["EPSG:32721", "EPSG:6933"])
def test_long_pixels_are_read_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crs: str
) -> None:
    path = tmp_path / "long.tif"
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 255, (3, 64, 6400), dtype=np.uint8)
    pixels[:, 20:30, 1000:3000] = 0
    with rasterio.open(
        path, "w", driver="GTiff", count=3, dtype="uint8", crs="EPSG:32721", nodata=0, height=64,
        width=6400, transform=Affine(0.3, 0.0, WEST, 0.0, -30.0, NORTH),
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
    entry = entry_of(path)
    scene = inspect_scene(str(path), entry)
    counted = Counted(monkeypatch)
    x, y = WEST, NORTH
    if crs != "EPSG:32721":
        to = CRS("EPSG:32721").transformer_to_crs(CRS(crs), always_xy=True)
        x, y = (round(v / 20.0) * 20.0 for v in to(WEST, NORTH))
    block = read_block([scene], (x, y - 1920.0, x + 1920.0, y), (96, 96), CRS(crs), entry)
    assert block.valid.mean() > 0.5
    assert counted.pixels < 3 * 64 * 6400
    assert counted.reads < 20
