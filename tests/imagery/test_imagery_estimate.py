"""Bytes a plan announces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rasterio.warp import transform_bounds

from s2s_map.catalog.scene import inspect_scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.imagery.estimate import bytes_estimate

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster


def test_source_pixels_of_the_bounds_are_counted(make_raster: MakeRaster) -> None:
    def entry(uri: str, **fields: object) -> RasterEntry:
        known = {"type": "raster", "title": "t", "sensor": "landsat", "licence": "l"}
        return RasterEntry.model_validate(known | {"uri": uri, "attribution": "a"} | fields)

    eight = str(make_raster("8.tif", shape=(200, 200)))
    sixteen = str(make_raster("16.tif", shape=(200, 200), dtype="uint16"))
    scenes = [
        inspect_scene(eight, entry(eight)),
        inspect_scene(sixteen, entry(sixteen, scale={"min": 0, "max": 255})),
    ]
    bounds = (720_000.0, -2_783_000.0, 723_000.0, -2_780_000.0)
    crs = "EPSG:32621"
    assert bytes_estimate(scenes[:1], bounds, crs) == 100 * 100 * 3
    assert bytes_estimate(scenes, bounds, crs) == 100 * 100 * 3 * 3
    assert bytes_estimate(scenes, (0.0, 0.0, 900.0, 900.0), crs) == 0
    half = (717_000.0, *bounds[1:3], -2_777_000.0)
    assert bytes_estimate(scenes[:1], half, crs) == 100 * 100 * 3
    other = transform_bounds(crs, "EPSG:32622", *bounds)
    assert bytes_estimate(scenes[:1], other, "EPSG:32622") == pytest.approx(30_000, rel=0.15)
