"""The one interface to imagery of every type."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from odc.geo.crs import CRS

from s2s_map.arrays import Hole, ImageBlock
from s2s_map.config.catalog import RasterEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.lattice import Bounds
from s2s_map.imagery.source import Source
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.regions.coverage import Coverage

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster

BOUNDS = (720_300.0, -2_781_200.0, 721_200.0, -2_780_300.0)


def make_entry(**fields: object) -> RasterEntry:
    known = {"type": "raster", "title": "t", "sensor": "landsat", "licence": "l", "uri": "x"}
    return RasterEntry.model_validate(known | {"attribution": "a"} | fields)


def test_a_pickled_source_reads_the_same(make_raster: MakeRaster) -> None:
    source = open_source(make_entry(uri=str(make_raster())))
    again = pickle.loads(pickle.dumps(source))  # noqa: S301
    block = again.read(BOUNDS, (90, 90), "EPSG:32621")
    assert block.valid.all()
    assert block.pixels.tobytes() == source.read(BOUNDS, (90, 90), "EPSG:32621").pixels.tobytes()
    assert again == source


def test_what_a_job_asks(make_raster: MakeRaster) -> None:
    paths = (str(make_raster("a.tif")), str(make_raster("b.tif", place="utm_off_lattice")))
    source = open_source(make_entry(uri=paths))
    assert source.describe() == "2 scenes"
    assert source.crs == CRS("EPSG:32621")
    assert source.bytes_estimate(BOUNDS, "EPSG:32621") == 30 * 30 * 3 * 2
    assert [scene["file"] for scene in source.identity()["scenes"]] == ["a.tif", "b.tif"]
    json.dumps(source.identity())
    assert source.frozen() is None
    assert not source.needs_freezing
    assert source.freeze((-55.0, -26.0, -54.0, -25.0)) is source


def test_scenes_of_several_crs_have_no_common_one(make_raster: MakeRaster) -> None:
    paths = (str(make_raster("a.tif")), str(make_raster("b.tif", place="equator")))
    assert open_source(make_entry(uri=paths)).crs is None


class Holey(Source):
    """Reads nothing and says so."""

    def __init__(self, entry: RasterEntry) -> None:
        self.entry = entry

    @property
    def coverage(self) -> tuple[Coverage, ...]:
        return ()

    def _read(self, bounds: Bounds, shape: tuple[int, int], crs: CRS) -> ImageBlock:
        nothing = np.zeros((3, *shape), np.uint8), np.zeros(shape, np.bool_)
        return ImageBlock(*nothing, holes=(Hole("broken", "a.tif"), Hole("gone", "b.tif")))

    def bytes_estimate(self, bounds: Bounds, crs: CRS | str) -> int:
        return 0

    def identity(self) -> dict[str, object]:
        return {}

    def describe(self) -> str:
        return "nothing"


def test_the_policy_decides_over_holes() -> None:
    block = Holey(make_entry(on_missing="nodata")).read(BOUNDS, (9, 9), "EPSG:32621")
    assert [hole.uri for hole in block.holes] == ["a.tif", "b.tif"]
    with pytest.raises(ImageryError, match=r"a\.tif and 1 more: broken; fix it, or set on_missing"):
        Holey(make_entry(on_missing="fail")).read(BOUNDS, (9, 9), "EPSG:32621")
    assert Holey(make_entry()).crs is None
