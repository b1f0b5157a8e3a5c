"""Large pixels over fine imagery: read in parts, so that memory is bounded, to the same values."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures_cubes import BOUNDS, SIDE, UTM, plain_cube, reflectance, write_cube
from numpy.typing import NDArray
from odc.geo.crs import CRS

from s2s_map.arrays import Hole
from s2s_map.catalog.catalog import scenes
from s2s_map.catalog.cube import inspect_cube
from s2s_map.catalog.scene import Scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.config.cube import ZarrEntry
from s2s_map.imagery import aligned, warped
from s2s_map.imagery.mosaic import read_zones
from s2s_map.imagery.sources.raster.reading import read_block
from s2s_map.imagery.sources.zarr import zone as cube_zone
from s2s_map.imagery.sources.zarr.zone import CubeZone

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster

FIELDS = {"title": "t", "sensor": "sentinel", "licence": "l", "attribution": "a"}


@dataclass
class Recording:
    """A zone that notes how many source pixels it is asked for."""

    zone: CubeZone
    asked: list[int] = field(default_factory=list)

    def native_pixel(self, wanted_m: float) -> float:
        return self.zone.cube.scene.res[0]

    def scene(self, pixel_m: float) -> Scene:
        return self.zone.scene(pixel_m)

    def read(
        self, scene: Scene, rows: slice, cols: slice
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[Hole]]:
        self.asked.append((rows.stop - rows.start) * (cols.stop - cols.start))
        return self.zone.read(scene, rows, cols)


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[CubeZone]:
    path = str(write_cube(plain_cube(), tmp_path / "c.zarr"))
    entry = ZarrEntry.model_validate(FIELDS | {"type": "zarr", "uri": path})
    return CubeZone(inspect_cube(path, entry), entry)


@pytest.mark.parametrize("pixel", [5.0, 25.0, 320.0])
def test_a_file_of_the_same_crs(
    make_raster: MakeRaster, monkeypatch: pytest.MonkeyPatch, pixel: float
) -> None:
    path = make_raster("a.tif", shape=(1500, 1400))
    fields = FIELDS | {"type": "raster", "uri": str(path)}
    entry = RasterEntry.model_validate(fields)
    (scene,) = scenes(entry)
    west, south, east, north = scene.bounds
    shape = (int((north - south) / pixel) + 2, int((east - west) / pixel) + 2)
    shape = (min(shape[0], 300), min(shape[1], 300))
    left, top = west - pixel, north + pixel
    bounds = (left, top - shape[0] * pixel, left + shape[1] * pixel, top)
    whole = read_block([scene], bounds, shape, scene.crs, entry)
    assert whole.valid.any()
    monkeypatch.setattr(aligned, "PART_PX", 200)
    tracemalloc.start()
    parts = read_block([scene], bounds, shape, scene.crs, entry)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert parts.pixels.tobytes() == whole.pixels.tobytes()
    assert parts.valid.tobytes() == whole.valid.tobytes()
    # Float pixels of the whole scene alone are 25 MB; the result is part of what is held.
    assert peak < 14_000_000 + 4 * whole.valid.size


def test_a_cube_of_another_crs_is_warped_in_parts(
    zone: CubeZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rasterio.warp import transform_bounds

    west, _, _, north = (round(edge, -2) for edge in transform_bounds(UTM, "EPSG:3035", *BOUNDS))
    bounds = (west, north - 3000.0, west + 3000.0, north)
    one, many = Recording(zone), Recording(zone)
    whole = read_zones([one], bounds, (75, 75), CRS("EPSG:3035"))
    monkeypatch.setattr(warped, "_SOURCE_PX", 64)
    parts = read_zones([many], bounds, (75, 75), CRS("EPSG:3035"))
    assert whole.valid.mean() > 0.5
    # Narrower tiles: GDAL's coordinates are interpolated between others.
    assert np.abs(parts.pixels.astype(int) - whole.pixels).max() <= 1
    assert parts.valid.tobytes() == whole.valid.tobytes()
    assert max(many.asked) < max(one.asked) / 2


def test_a_cube_under_large_pixels_is_averaged_in_parts(
    zone: CubeZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert zone.native_pixel(150.0) == 10.0
    assert zone.native_pixel(240.0) == 80.0
    coarse = zone.scene(80.0)
    assert coarse.shape == (SIDE // 8, SIDE // 8)
    assert coarse.bounds == BOUNDS
    everything = slice(0, SIDE // 8), slice(0, SIDE // 8)
    whole, seen, holes = zone.read(coarse, *everything)
    assert seen.all()
    assert not holes
    means = np.rint(reflectance() * 255.0).reshape(3, SIDE // 8, 8, SIDE // 8, 8).mean((2, 4))
    assert np.abs(whole - means).max() <= 0.5
    monkeypatch.setattr(cube_zone, "_PART_PX", 50)
    assert zone.read(coarse, *everything)[0].tobytes() == whole.tobytes()
    # Half of the squares at the rim lies within the cube, of that at the corner a quarter.
    rim = zone.read(zone.scene(1600.0), slice(0, 2), slice(0, 2))[1]
    assert rim.tolist() == [[True, True], [True, False]]
    block = read_zones([zone], BOUNDS, (10, 10), CRS(UTM))
    assert block.valid.all()
    expected = reflectance().reshape(3, 10, 24, 10, 24).mean((2, 4)) * 255.0
    assert np.median(np.abs(block.pixels - expected)) < 8.0
