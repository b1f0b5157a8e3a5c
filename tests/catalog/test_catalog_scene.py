"""Scenes: what a header says and what it must not lack."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from affine import Affine

from s2s_map.catalog.scene import inspect_scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.errors import ImageryError

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster


def entry(**fields: object) -> RasterEntry:
    known = {"type": "raster", "title": "t", "uri": "x", "sensor": "landsat", "licence": "l"}
    return RasterEntry.model_validate(known | {"attribution": "a"} | fields)


def refused(path: Path, message: str, **fields: object) -> None:
    with pytest.raises(ImageryError, match=message) as error:
        inspect_scene(str(path), entry(**fields))
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


def test_a_header_is_read(make_raster: MakeRaster) -> None:
    path = make_raster(shape=(100, 150))
    scene = inspect_scene(str(path), entry())
    assert scene.uri == str(path)
    assert scene.bounds == (720_000.0, -2_783_000.0, 724_500.0, -2_780_000.0)
    assert scene.footprint.bounds == scene.bounds
    assert (scene.shape, scene.band_count, scene.dtype) == ((100, 150), 3, "uint8")
    assert scene.res == (30.0, 30.0)
    assert scene.crs.epsg == 32621
    assert scene.gsd_m == pytest.approx(30.0, rel=2e-3)
    assert scene.valid == "all"
    assert pickle.loads(pickle.dumps(scene)) == scene  # noqa: S301  (our own)


def test_what_tells_validity_is_found(make_raster: MakeRaster) -> None:
    mask = np.ones((200, 200), dtype=bool)
    assert inspect_scene(str(make_raster("m.tif", mask=mask)), entry()).valid == "mask"
    assert inspect_scene(str(make_raster("a.tif", alpha=mask)), entry()).valid == "alpha"
    assert inspect_scene(str(make_raster("n.tif", nodata=0)), entry()).valid == "nodata"
    assert inspect_scene(str(make_raster("d.tif")), entry(nodata=0)).valid == "nodata"


def test_degrees_have_a_ground_sample_distance_too(make_raster: MakeRaster) -> None:
    scene = inspect_scene(str(make_raster(place="lonlat")), entry())
    assert scene.gsd_m == pytest.approx(0.0003 * 110_800, rel=0.01)


def test_a_rotated_scene_keeps_its_footprint(make_raster: MakeRaster) -> None:
    turned = Affine.translation(720_000.0, -2_780_000.0) @ Affine.rotation(30.0)
    path = make_raster(profile={"transform": turned @ Affine.scale(30.0, -30.0)}, shape=(100, 100))
    scene = inspect_scene(str(path), entry())
    assert scene.res == (pytest.approx(30.0), pytest.approx(30.0))
    assert scene.footprint.area == pytest.approx(3000.0**2)
    side = 3000.0 * (math.cos(math.pi / 6) + math.sin(math.pi / 6))
    assert scene.bounds[2] - scene.bounds[0] == pytest.approx(side)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    refused(tmp_path / "absent.tif", "no file")
    text = tmp_path / "text.tif"
    text.write_text("not a raster")
    refused(text, "does not open as a raster")
    (tmp_path / "empty.tif").write_bytes(b"")
    refused(tmp_path / "empty.tif", "does not open as a raster")
    refused(tmp_path, "no file")


def test_a_raster_without_crs(make_raster: MakeRaster) -> None:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = make_raster(place="nowhere")
    refused(path, "has no CRS; expected a georeferenced raster")


def test_one_band_where_three_are_needed(make_raster: MakeRaster) -> None:
    refused(make_raster(bands=1), "has 1 colour band; expected bands 1, 2, 3")
    five = make_raster(bands=5, profile={"photometric": "minisblack"})
    refused(five, "has 5 colour bands; expected bands 7, 3, 2", bands=[7, 3, 2])
    alpha = np.ones((200, 200), dtype=bool)
    refused(make_raster(bands=2, alpha=alpha), "has 2 colour bands")


def test_16_bit_needs_a_scale(make_raster: MakeRaster) -> None:
    path = make_raster(dtype="uint16")
    refused(path, "has uint16 values; expected 8 bit, or a scale; add scale")
    assert inspect_scene(str(path), entry(scale={"min": 0, "max": 3000})).dtype == "uint16"


def test_formats_that_refer_elsewhere_are_not_opened(
    make_raster: MakeRaster, tmp_path: Path
) -> None:
    band = "<SourceFilename>/vsimem/a.tif</SourceFilename><SourceBand>1</SourceBand>"
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{i}"><SimpleSource>{band}</SimpleSource>'
        "</VRTRasterBand>"
        for i in (1, 2, 3)
    )
    vrt = tmp_path / "scene.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="10" rasterYSize="10">{bands}</VRTDataset>')
    refused(vrt, "names /vsimem")


@pytest.mark.parametrize(
    ("transform", "crs", "says"),
    [
        ((float("nan"), 0, 1, 0, -30, 1), "EPSG:32721", "no area or no place"),
        ((float("inf"), 0, 1, 0, -30, 1), "EPSG:32721", "no area or no place"),
        ((0, 0, 5, 0, 0, 5), "EPSG:32721", "no area or no place"),
        ((30, 30, 5, 30, 30, 5), "EPSG:32721", "no area or no place"),
        ((1e300, 0, 5, 0, -30, 5), "EPSG:32721", "no area or no place"),
        ((10, 0, -1000, 0, -10, 10), "EPSG:4326", "expected imagery on the Earth"),
        ((30, 0, 600_000, 0, -30, 7_200_000), "EPSG:4978", "where on the Earth"),
        ((30, 0, 5, 0, -30, 5), 'LOCAL_CS["site",UNIT["metre",1]]', "where on the Earth"),
    ],
)
def test_a_place_that_is_none_is_refused(
    tmp_path: Path, transform: tuple[float, ...], crs: str, says: str
) -> None:
    path = tmp_path / "odd.tif"
    profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", crs=crs, transform=Affine(*transform), **profile) as dataset:
        dataset.write(np.ones((3, 8, 8), dtype=np.uint8))
    with pytest.raises(ImageryError, match=says):
        inspect_scene(str(path), entry(scale={"min": 0, "max": 1}))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_no_picture(make_raster: MakeRaster, dtype: str) -> None:
    path = make_raster(dtype=dtype)
    with pytest.raises(ImageryError, match=f"{dtype} values"):
        inspect_scene(str(path), entry(scale={"min": 0, "max": 1}))
