"""Offsets of Sentinel-2 by the pixels: items as a public catalog gives them, over real COGs."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fixtures_sentinel import write_items
from fixtures_servers import serve_folder, serve_stac
from numpy.typing import NDArray
from rasterio.shutil import copy as gdal_copy
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds

from s2s_map.config.stac import StacEntry
from s2s_map.imagery.sources.stac.offsets import weigh
from s2s_map.imagery.sources.stac.source import StacSource

CASES = json.loads((Path(__file__).parents[2] / "data/colours/sentinel2_offsets.json").read_text())[
    "cases"
]
SIDE, WEST, NORTH = 600, 600_000.0, 5_210_000.0
PLANTS, SOIL, WATER = 4, 5, 6


def ground(seed: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Ten thousand times the reflectance in red, and classes: woods, fields, soil and a lake."""
    random = np.random.default_rng(seed)
    classes = np.full((SIDE, SIDE), PLANTS, np.uint8)
    classes[:, 400:500], classes[:, 500:] = SOIL, WATER
    means = np.select([classes == PLANTS, classes == SOIL], [380.0, 1500.0], 120.0)
    return np.clip(means + random.normal(0.0, 60.0, classes.shape), 20.0, None), classes


def write(path: Path, values: NDArray[np.generic], pixel_m: float) -> None:
    with rasterio.MemoryFile() as memory:
        profile: dict[str, Any] = {
            "driver": "GTiff",
            "dtype": values.dtype,
            "count": 1,
            "height": values.shape[0],
            "width": values.shape[1],
            "crs": "EPSG:32632",
            "transform": from_origin(WEST, NORTH, pixel_m, pixel_m),
            "nodata": 0,
        }
        with memory.open(**profile) as data:
            data.write(values, 1)
            gdal_copy(data, path, driver="COG", blocksize=256, compress="deflate")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("offsets")
    bounds = (WEST, NORTH - SIDE * 10.0, WEST + SIDE * 10.0, NORTH)
    west, south, east, north = transform_bounds("EPSG:32632", "EPSG:4326", *bounds)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    with serve_folder(folder) as files:
        items = []
        for seed, case in enumerate(CASES):
            item = copy.deepcopy(case["item"])
            red, classes = ground(seed)
            for factor, name in ((1.0, "red"), (1.1, "green"), (0.8, "blue")):
                numbers = np.rint(red * factor) + (1000 if case["numbers_carry_1000"] else 0)
                write(folder / f"{item['id']}_{name}.tif", numbers.astype(np.uint16), 10.0)
                item["assets"][name]["href"] = f"{files.url}/{item['id']}_{name}.tif"
            write(folder / f"{item['id']}_scl.tif", classes[::2, ::2].copy(), 20.0)
            item["assets"]["scl"] = {"href": f"{files.url}/{item['id']}_scl.tif"}
            for asset in item["assets"].values():
                res = 20.0 if asset["href"].endswith("scl.tif") else 10.0
                asset["proj:shape"] = [round(SIDE * 10 / res)] * 2
                asset["proj:transform"] = [res, 0, WEST, 0, -res, NORTH]
            item |= {
                "bbox": [west, south, east, north],
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
            items.append(item)
        with serve_stac(write_items(folder / "items.json", items)) as url:
            yield url


def area() -> tuple[float, float, float, float]:
    bounds = (WEST + 500, NORTH - 5500, WEST + 5500, NORTH - 500)
    west, south, east, north = transform_bounds("EPSG:32632", "EPSG:4326", *bounds)
    return west, south, east, north


def entry(url: str, **fields: Any) -> StacEntry:
    return StacEntry.model_validate(
        {
            "type": "stac",
            "title": "offsets",
            "url": url,
            "collection": "sentinel-2-l2a",
            "time": "2020-01-01/2026-01-01",
            "sensor": "sentinel",
            "licence": "CC0-1.0",
            "attribution": "nobody",
            **fields,
        }
    )


def test_pixels_decide_where_the_metadata_are_wrong(api: str) -> None:
    source = StacSource(entry(api)).freeze(area())
    assert source.items is not None
    own = {i["id"]: i["properties"].get("s2s_map:boa_offset") for i in source.items}
    assert own == {"a": None, "b": None, "c": None, "d": 0, "e": -1000}
    (said,) = source.remarks
    assert "2 of 5 scenes" in said
    # Each scene alone comes out as the ground is.
    bounds = (WEST + 500, NORTH - 5500, WEST + 5500, NORTH - 500)
    for item in source.items:
        alone = StacSource(source.entry, (item,), area())
        values = alone.sample(area()).values
        assert np.percentile(values[0], 30) == pytest.approx(0.038, abs=0.01), item["id"]
        assert alone.read(bounds, (500, 500), "EPSG:32632").valid.all()


def test_a_mask_of_bits_tells_nothing_of_plants(api: str) -> None:
    """Its number 4 is not the vegetation of the scene classification."""
    source = StacSource(entry(api, masked_bits=[7])).freeze(area())
    assert not source.remarks


def test_a_search_kept_for_another_profile_is_not_taken(api: str) -> None:
    assets = {"red": "red", "green": "green", "blue": "blue", "mask": "scl"}
    fields = {"assets": assets, "clear": [4, 5, 6], "max_cloud": 100, "max_per_tile": 8}
    reflectance = StacSource(entry(api, **fields, profile="hls")).freeze(area())
    record = json.loads(json.dumps(reflectance.frozen()))
    assert StacSource(entry(api, **fields, profile="hls")).thaw(record, area())
    assert StacSource(entry(api, **fields)).thaw(record, area()) is None


def test_the_verdict_is_frozen_with_the_search(api: str) -> None:
    first = StacSource(entry(api)).freeze(area())
    record = json.loads(json.dumps(first.frozen()))
    again = StacSource(entry(api)).thaw(record, area())
    assert again is not None
    assert again.items == first.items
    assert again.identity() == first.identity()


def test_auto_is_measured_over_the_search_and_the_same_for_all_blocks(api: str) -> None:
    source = StacSource(entry(api, scale="auto")).freeze(area())
    assert source.needs_measuring
    source = source.measured(source.sample(area()), None)
    bounds = (WEST + 500, NORTH - 5500, WEST + 5500, NORTH - 500)
    whole = source.read(bounds, (500, 500), "EPSG:32632").pixels
    part = source.read(
        (bounds[0], bounds[1], bounds[0] + 1000, bounds[3]), (500, 100), "EPSG:32632"
    )
    np.testing.assert_array_equal(part.pixels, whole[:, :, :100])
    assert whole.std() > 40


@pytest.mark.parametrize(
    ("level", "offset"), [(380, 0), (1380, -1000), (900, 0), (5000, None), (2600, None)]
)
def test_vegetation_tells(level: int, offset: int | None) -> None:
    random = np.random.default_rng(0)
    red = np.rint(random.normal(level, 40, (50, 50))).astype(np.int32)
    assert weigh(red, np.full(red.shape, PLANTS)).offset == offset


def test_bright_desert_and_water_tell_nothing_but_dark_soil_does() -> None:
    soil = np.full((40, 40), SOIL)
    assert weigh(np.full(soil.shape, 2400), soil).offset is None
    assert weigh(np.full(soil.shape, 700), soil).offset == 0
    assert weigh(np.full(soil.shape, 700), np.full(soil.shape, WATER)).offset is None
    assert weigh(np.zeros(soil.shape, np.int32), soil).offset is None
