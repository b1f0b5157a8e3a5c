"""Reading: right place, right values, right validity, the same for any block."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures_raster import Place, waves
from numpy.typing import NDArray
from odc.geo.crs import CRS
from rasterio.warp import transform_bounds

from s2s_map.arrays import ImageBlock
from s2s_map.catalog.scene import inspect_scene
from s2s_map.config.catalog import RasterEntry, ValueScale
from s2s_map.errors import ImageryError
from s2s_map.imagery.sources.raster.reading import read_block
from s2s_map.tiling.patches import PatchLayout

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster

UTM = "EPSG:32621"
Bounds = tuple[float, float, float, float]


def make_entry(*uris: Path, **fields: object) -> RasterEntry:
    known: dict[str, object] = {
        "type": "raster",
        "title": "t",
        "uri": tuple(map(str, uris)),
        "sensor": "landsat",
        "licence": "l",
        "attribution": "a",
    }
    return RasterEntry.model_validate(known | fields)


def read(entry: RasterEntry, bounds: Bounds, pixel: float, crs: str = UTM) -> ImageBlock:
    scenes = [inspect_scene(uri, entry) for uri in entry.uris]
    shape = (round((bounds[3] - bounds[1]) / pixel), round((bounds[2] - bounds[0]) / pixel))
    return read_block(scenes, bounds, shape, crs, entry)


def truth(bounds: Bounds, pixel: float) -> NDArray[np.float64]:
    x = np.arange(bounds[0] + pixel / 2, bounds[2], pixel)
    y = np.arange(bounds[3] - pixel / 2, bounds[1], -pixel)
    return waves(*np.meshgrid(x, y))


INSIDE: Bounds = (721_000.0, -2_785_000.0, 725_000.0, -2_781_000.0)


@pytest.mark.parametrize("pixel", [10.0, 20.0, 30.0, 50.0, 100.0])
@pytest.mark.parametrize("place", ["utm", "utm_off_lattice"])
def test_pixels_hold_the_values_of_their_place(
    make_raster: MakeRaster, pixel: float, place: str
) -> None:
    bounds = INSIDE if place == "utm" else (719_000.0, -2_781_000.0, 722_000.0, -2_778_000.0)
    bounds = (bounds[0], bounds[3] - 3000.0, bounds[0] + 3000.0, bounds[3])
    block = read(make_entry(make_raster(place=place, shape=(240, 240))), bounds, pixel)
    assert block.valid.all()
    np.testing.assert_allclose(block.pixels, truth(bounds, pixel), atol=2.5)


@pytest.mark.parametrize("crs", ["EPSG:32721", "EPSG:32622", "EPSG:6933", "EPSG:31981"])
def test_a_scene_of_another_crs_is_warped(make_raster: MakeRaster, crs: str) -> None:
    scene = make_raster(shape=(240, 240))
    bounds = transform_bounds(UTM, crs, *INSIDE)
    bounds = tuple(round(b / 10) * 10.0 for b in bounds)
    block = read(make_entry(scene), bounds, 10.0, crs)
    assert block.valid_fraction > 0.95
    x = np.arange(bounds[0] + 5, bounds[2], 10.0)
    y = np.arange(bounds[3] - 5, bounds[1], -10.0)
    there = CRS(crs).transformer_to_crs(CRS(UTM))(*np.meshgrid(x, y))
    expected = waves(*map(np.asarray, there))
    error = np.abs(block.pixels - expected)[:, block.valid]
    assert error.max() <= 3.0


def test_warped_large_pixels_are_averaged(make_raster: MakeRaster) -> None:
    checks = np.indices((240, 240)).sum(axis=0) % 2 * 200.0
    scene = make_raster(shape=(240, 240), values=np.stack([checks] * 3))
    bounds = tuple(round(b / 100) * 100.0 for b in transform_bounds(UTM, "EPSG:32622", *INSIDE))
    block = read(make_entry(scene), bounds, 100.0, "EPSG:32622")
    inner = block.pixels[:, 5:-5, 5:-5]
    assert inner.min() > 80
    assert inner.max() < 120


@pytest.mark.parametrize("crs", [UTM, "EPSG:32622"])
def test_a_pixel_is_the_same_whichever_block_it_is_read_for(
    make_raster: MakeRaster, crs: str
) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((300, 300)) < 0.95
    noise = rng.integers(0, 256, (3, 300, 300))
    entry = make_entry(make_raster(shape=(300, 300), values=noise, mask=mask))
    scenes = [inspect_scene(uri, entry) for uri in entry.uris]
    layout = PatchLayout(patch_m=2560, input_px=224, stride_m=640)
    west, south, east, north = transform_bounds(UTM, crs, *INSIDE)
    whole = layout.patches_for((west, south, east, north), "token")
    expected = read_block(scenes, whole.read_bounds, whole.read_shape, crs, entry)
    for bounds in ((west + 700, south, east, north - 900), (west, south + 800, west + 1, north)):
        part = layout.patches_for(bounds, "token")
        top = round((whole.read_bounds[3] - part.read_bounds[3]) / layout.pixel_m)
        left = round((part.read_bounds[0] - whole.read_bounds[0]) / layout.pixel_m)
        got = read_block(scenes, part.read_bounds, part.read_shape, crs, entry)
        rows, cols = slice(top, top + got.shape[0]), slice(left, left + got.shape[1])
        assert got.pixels.tobytes() == expected.pixels[:, rows, cols].tobytes()
        assert got.valid.tobytes() == expected.valid[rows, cols].tobytes()


def test_outside_is_not_observed(make_raster: MakeRaster) -> None:
    entry = make_entry(make_raster(shape=(100, 100)))
    block = read(entry, (718_500.0, -2_781_500.0, 721_500.0, -2_778_500.0), 30.0)
    expected = np.zeros((100, 100), dtype=bool)
    expected[50:, 50:] = True
    np.testing.assert_array_equal(block.valid, expected)
    assert not block.pixels[:, ~expected].any()
    far = read(entry, (0.0, 0.0, 300.0, 300.0), 30.0)
    assert not far.valid.any()
    assert not far.pixels.any()


@pytest.mark.parametrize("pixel", [10.0, 30.0, 90.0])
@pytest.mark.parametrize("crs", [UTM, "EPSG:32721"])
@pytest.mark.parametrize("kind", ["mask", "alpha", "nodata", "declared nodata"])
def test_missing_data_is_not_observed_and_does_not_bleed(
    make_raster: MakeRaster, kind: str, crs: str, pixel: float
) -> None:
    valid = np.ones((120, 120), dtype=bool)
    valid[:, 60:] = False
    values = np.where(valid, 200, 0)[None].repeat(3, axis=0)
    fields: dict[str, object] = {
        "mask": {"mask": valid},
        "alpha": {"alpha": valid},
        "nodata": {"nodata": 0},
        "declared nodata": {},
    }[kind]  # type: ignore[assignment]
    entry = make_entry(
        make_raster(values=values, shape=(120, 120), **fields),
        nodata=0 if kind == "declared nodata" else None,
    )
    bounds = (720_300.0, -2_783_300.0, 723_300.0, -2_780_300.0)
    if crs != UTM:
        bounds = (bounds[0], bounds[1] + 10_000_000.0, bounds[2], bounds[3] + 10_000_000.0)
    bounds = (bounds[0], bounds[3] - 2700.0, bounds[0] + 2700.0, bounds[3])
    block = read(entry, bounds, pixel, crs)
    edge = round(1500.0 / pixel)  # 721,800 m
    slack = 1 if crs != UTM else 0
    assert block.valid[:, : edge - slack].all()
    assert not block.valid[:, edge + 1 + slack :].any()
    np.testing.assert_allclose(block.pixels[:, block.valid], 200, atol=1)
    assert not block.pixels[:, ~block.valid].any()


@pytest.mark.parametrize("crs", [UTM, "EPSG:32721"])
def test_dark_water_is_not_nodata(make_raster: MakeRaster, crs: str) -> None:
    values = np.zeros((3, 120, 120))
    values[0] = 12
    entry = make_entry(make_raster(values=values, shape=(120, 120), nodata=0))
    north = -2_780_300.0 if crs == UTM else 7_219_700.0
    block = read(entry, (720_300.0, north - 900, 721_200.0, north), 10.0, crs)
    assert block.valid.all()


@pytest.mark.parametrize("crs", [UTM, "EPSG:32721"])
def test_a_scene_without_any_data_reads_as_invalid(make_raster: MakeRaster, crs: str) -> None:
    nothing = np.zeros((120, 120), dtype=bool)
    entry = make_entry(make_raster(shape=(120, 120), mask=nothing))
    north = -2_780_300.0 if crs == UTM else 7_219_700.0
    block = read(entry, (720_300.0, north - 900, 721_200.0, north), 10.0, crs)
    assert not block.valid.any()
    assert not block.pixels.any()


@pytest.mark.parametrize("crs", [UTM, "EPSG:32721"])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_other_types_are_scaled(make_raster: MakeRaster, dtype: str, crs: str) -> None:
    values = np.stack([np.full((90, 90), v) for v in (0, 1500, 4000)]).astype(dtype)
    nodata: float | None = -9999.0
    if dtype == "float32":
        values[:, 0:30] = np.nan
        nodata = float("nan")
    elif dtype == "uint16":
        values[:, 0:30] = 65535
        nodata = 65535
    else:
        values[:, 0:30] = -9999
    raster = make_raster(values=values, dtype=dtype, shape=(90, 90), nodata=nodata)
    entry = make_entry(raster, scale={"min": 0, "max": 3000})
    assert entry.scale == ValueScale(min=0, max=3000)
    north = -2_780_000.0 if crs == UTM else 7_220_000.0
    block = read(entry, (720_300.0, north - 2400, 721_200.0, north), 10.0, crs)
    assert not block.valid[:88].any()
    assert block.valid[92:].all()
    np.testing.assert_array_equal(block.pixels[:, 95:].max(axis=(1, 2)), [0, 128, 255])


def test_bands_are_taken_in_the_declared_order(make_raster: MakeRaster) -> None:
    values = np.stack([np.full((60, 60), 10 * (i + 1)) for i in range(5)])
    raster = make_raster(values=values, bands=5, shape=(60, 60))
    for crs, north in ((UTM, -2_780_300.0), ("EPSG:32721", 7_219_700.0)):
        entry = make_entry(raster, bands=(5, 1, 3))
        block = read(entry, (720_300.0, north - 300, 720_600.0, north), 10.0, crs)
        assert block.pixels[:, 5, 5].tolist() == [50, 10, 30]


def test_the_first_scene_with_a_valid_pixel_wins(make_raster: MakeRaster) -> None:
    shape = (60, 60)
    holes = np.ones(shape, dtype=bool)
    holes[:, 20:40] = False
    first = make_raster("a.tif", shape=shape, values=np.full((3, *shape), 50), mask=holes)
    second = make_raster("b.tif", shape=shape, values=np.full((3, *shape), 150))
    bounds = (720_000.0, -2_781_800.0, 721_800.0, -2_780_000.0)
    mosaic = read(make_entry(first, second), bounds, 30.0)
    assert mosaic.valid.all()
    np.testing.assert_array_equal(mosaic.pixels, np.where(holes, 50, 150)[None].repeat(3, 0))
    covered = read(make_entry(second, first), bounds, 30.0)
    assert (covered.pixels == 150).all()


@pytest.mark.parametrize("res", [30.0, 20.0])
def test_neighbouring_scenes_meet_without_a_seam(make_raster: MakeRaster, res: float) -> None:
    west = make_raster("w.tif", shape=(100, 80))
    east_place = Place(UTM, 720_000.0 + 80 * 30.0, -2_780_000.0, res)
    east = make_raster("e.tif", shape=(150, 120), place=east_place)
    bounds = (720_600.0, -2_782_400.0, 724_200.0, -2_780_600.0)
    block = read(make_entry(west, east), bounds, 10.0)
    assert block.valid.all()
    np.testing.assert_allclose(block.pixels, truth(bounds, 10.0), atol=6.0)


def test_a_lonlat_scene_and_one_across_the_equator(make_raster: MakeRaster) -> None:
    lonlat = make_raster("l.tif", place="lonlat", shape=(200, 200))
    bounds = transform_bounds("EPSG:4326", UTM, -54.59, -25.34, -54.55, -25.31)
    bounds = tuple(round(b / 10) * 10.0 for b in bounds)
    assert read(make_entry(lonlat), bounds, 10.0).valid.all()
    equator = make_raster("e.tif", place="equator", shape=(200, 200))
    block = read(make_entry(equator), (501_000, 9_998_500, 503_000, 10_001_500), 10.0, "EPSG:32721")
    assert block.valid.all()
    np.testing.assert_allclose(
        block.pixels, truth((501_000, 9_998_500, 503_000, 10_001_500), 10.0), atol=2.5
    )


def test_negative_coordinates(make_raster: MakeRaster) -> None:
    entry = make_entry(make_raster(place="origin", shape=(200, 200)))
    bounds = (-1_000.0, -1_000.0, 1_000.0, 1_000.0)
    block = read(entry, bounds, 10.0, "EPSG:6933")
    np.testing.assert_allclose(block.pixels, truth(bounds, 10.0), atol=2.5)


def test_a_file_that_breaks_is_one_line(make_raster: MakeRaster) -> None:
    """Its header is whole, half of its pixels are gone."""
    path = make_raster(shape=(300, 300), profile={"compress": "deflate"})
    entry = make_entry(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    scenes = [inspect_scene(str(path), entry)]
    for crs, north in ((UTM, -2_780_300.0), ("EPSG:32721", 7_219_700.0)):
        with pytest.raises(ImageryError, match=r"cannot be read|does not open") as error:
            read_block(scenes, (720_300, north - 8000, 728_300, north), (400, 400), crs, entry)
        assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(ImageryError, match="no file"):
        read_block(scenes, (720_300, -2_783_300, 723_300, -2_780_300), (300, 300), UTM, entry)
