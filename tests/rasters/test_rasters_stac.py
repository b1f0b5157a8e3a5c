"""The STAC item: valid by the core schemas that pystac carries, extensions by their rules.

Extension schemas are not packaged anywhere and tests use no network: what projection 2.0,
raster 2.0, render 2.0 and processing 1.2 demand is checked here by hand.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pystac.validation
import pytest
from fixtures_maps import make_grid, make_layers, make_provenance, read_range
from pyproj import Transformer
from pystac.extensions.projection import ProjectionExtension
from shapely.geometry import Point, Polygon, shape

from s2s_map.rasters.cog import write_cogs
from s2s_map.rasters.footprint import footprint
from s2s_map.rasters.stac import EXTENSIONS, write_item
from s2s_map.tiling.grid import MapGrid

GRID = make_grid()
OTHERS = {"maps.zarr", "embeddings.zarr", "imagery.tif", "preview.png"}


def item_of(folder: Path, slots: tuple[str, ...] = ("any",), **changes: object) -> dict[str, Any]:
    layers = make_layers(GRID, count=2, slots=len(slots))
    write_item(folder / "item.json", make_provenance(**changes), layers, GRID, slots)
    item: dict[str, Any] = json.loads((folder / "item.json").read_text(encoding="utf-8"))
    pystac.validation.validate_dict(item, extensions=[])
    check_extensions(item)
    return item


def check_extensions(item: dict[str, Any]) -> None:
    properties = item["properties"]
    assert set(item["stac_extensions"]) == set(EXTENSIONS)
    projection = {key: value for key, value in properties.items() if key.startswith("proj:")}
    assert set(projection) <= {
        "proj:code", "proj:wkt2", "proj:bbox", "proj:shape", "proj:transform",
    }  # fmt: skip
    assert len(projection["proj:bbox"]) == 4
    assert len(projection["proj:transform"]) == 9
    assert all(isinstance(n, int) for n in projection["proj:shape"])
    processing = {key for key in properties if key.startswith("processing:")}
    assert processing == {
        "processing:lineage",
        "processing:level",
        "processing:software",
    }
    assert all(isinstance(v, str) for v in properties["processing:software"].values())
    for render in properties["renders"].values():
        assert set(render["assets"]) <= set(item["assets"])
        assert all(len(pair) == 2 and pair[0] < pair[1] for pair in render["rescale"])
    for asset in item["assets"].values():
        for band in asset.get("bands", ()):
            assert band["data_type"] == "float32"
            assert band["nodata"] == "nan"
            assert band["raster:sampling"] == "area"
            assert set(band["statistics"]) <= {
                "minimum", "maximum", "mean", "stddev", "valid_percent",
            }  # fmt: skip


def test_assets_of_a_whole_run(tmp_path: Path) -> None:
    for name in OTHERS:
        (tmp_path / name).touch()
    paths = write_cogs(tmp_path, make_layers(GRID), GRID, ["any"], {})
    item = item_of(tmp_path)
    hrefs = {key: asset["href"] for key, asset in item["assets"].items()}
    assert set(hrefs.values()) == {
        f"./{name}"
        for name in {*OTHERS, "run.json", *(p.name for p in paths)}
        | {p.with_suffix(".qml").name for p in paths}
    }
    assert item["assets"]["thumbnail"]["roles"] == ["thumbnail"]
    assert hrefs["concept-0-style"] == "./concept-0.qml"
    bands = item["assets"]["concept-1"]["bands"]
    assert [band["name"] for band in bands] == ["probability", "similarity"]
    assert "softmax, uncalibrated" in bands[0]["description"]
    render = item["properties"]["renders"]["concept-1"]
    assert render["colormap_name"] == "magma"
    assert render["rescale"] == [list(read_range(tmp_path / "concept-1.qml"))]


def test_what_is_not_there_is_not_named(tmp_path: Path) -> None:
    item = item_of(tmp_path)
    assert "maps" not in item["assets"]
    assert "run" in item["assets"]


def test_an_item_without_layers(tmp_path: Path) -> None:
    write_item(tmp_path / "item.json", make_provenance(), [], GRID, ["any"])
    item = json.loads((tmp_path / "item.json").read_text(encoding="utf-8"))
    pystac.validation.validate_dict(item, extensions=[])
    assert not any("/raster/" in uri for uri in item["stac_extensions"])


def test_slots_are_assets_of_their_own(tmp_path: Path) -> None:
    item = item_of(tmp_path, slots=("m05-h06", "m10-h20"))
    assert item["assets"]["concept-0_m10-h20"]["href"] == "./concept-0_m10-h20.tif"
    assert item["properties"]["s2s_map:time_slots"] == ["m05-h06", "m10-h20"]


def test_projection_is_the_grids(tmp_path: Path) -> None:
    item_of(tmp_path)
    item = pystac.Item.from_file(str(tmp_path / "item.json"))
    projection = ProjectionExtension.ext(item)
    assert projection.code == "EPSG:32621"
    assert projection.shape == list(GRID.shape)
    assert projection.bbox == list(GRID.bounds)
    assert projection.transform is not None
    assert projection.transform[:6] == list(GRID.transform)[:6]


def test_credits(tmp_path: Path) -> None:
    item = item_of(tmp_path)
    properties = item["properties"]
    assert properties["license"] == "other"
    assert properties["s2s_map:attribution"] == (
        "Imagery: courtesy of the U.S. Geological Survey (public domain). "
        "Model: the s2s_map authors (Apache-2.0)."
    )
    assert [p["name"] for p in properties["providers"]] == ["USGS", "s2s-mini 1"]
    assert properties["s2s_map:model"]["sha256"].startswith("0123")
    assert item["links"] == [
        {
            "rel": "license",
            "href": "https://example.org/public-domain",
            "title": "Imagery: public domain",
        }
    ]


def test_one_licence_for_all(tmp_path: Path) -> None:
    provenance = make_provenance()
    item = item_of(tmp_path, imagery=provenance.model)
    assert item["properties"]["license"] == "Apache-2.0"


def test_time_is_that_of_the_imagery(tmp_path: Path) -> None:
    properties = item_of(tmp_path)["properties"]
    assert properties["datetime"] is None
    assert properties["start_datetime"] == "2020-05-18T00:00:00Z"
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    properties = item_of(tmp_path, imagery_time=None, created=moment)["properties"]
    assert properties["datetime"] == "2026-01-02T00:00:00Z"


@pytest.mark.parametrize("run", ["Zürich: 2 km", "///", "a/b c"])
def test_any_name_gives_an_identifier(tmp_path: Path, run: str) -> None:
    item = item_of(tmp_path, run=run)
    assert item["id"]
    assert "/" not in item["id"]
    assert " " not in item["id"]


def grid_at(crs: str, bounds: tuple[float, float, float, float]) -> MapGrid:
    return MapGrid.from_bounds(bounds, crs, 1000, 64)


def test_footprint_holds_the_grid() -> None:
    geometry, bounds = footprint(GRID)
    outline = shape(geometry)
    assert outline.is_valid
    assert isinstance(outline, Polygon)
    assert outline.exterior.is_ccw
    lonlat = Transformer.from_crs("EPSG:32621", "EPSG:4326", always_xy=True)
    middle = lonlat.transform(GRID.x[35], GRID.y[45])
    assert outline.contains(Point(*middle))
    assert bounds == outline.bounds


def test_footprint_over_the_antimeridian_has_two_parts() -> None:
    grid = grid_at("EPSG:32701", (100_000.0, 8_000_000.0, 300_000.0, 8_200_000.0))
    geometry, (west, south, east, north) = footprint(grid)
    assert geometry["type"] == "MultiPolygon"
    outline = shape(geometry)
    assert outline.is_valid
    assert outline.bounds[0] == -180.0
    assert outline.bounds[2] == 180.0
    assert west > 170.0 > -170.0 > east
    assert south < north < 0
    assert math.isclose(outline.area, (east + 360 - west) * (north - south), rel_tol=0.1)


@pytest.mark.parametrize(("crs", "lat"), [("EPSG:3413", 1), ("EPSG:3031", -1)])
def test_footprint_around_a_pole_is_a_cap(crs: str, lat: int) -> None:
    _, bounds = footprint(grid_at(crs, (-300_000.0, -300_000.0, 300_000.0, 300_000.0)))
    assert bounds[0] == -180.0
    assert bounds[2] == 180.0
    assert abs(bounds[1 if lat < 0 else 3]) == 90.0
    assert 80.0 < abs(bounds[3 if lat < 0 else 1]) < 90.0


@pytest.mark.parametrize("west", [-17_000_000.0, 16_900_000.0])
def test_footprint_up_to_the_edge_of_the_world(west: float) -> None:
    _, bounds = footprint(grid_at("EPSG:6933", (west, 0.0, west + 100_000.0, 100_000.0)))
    assert -180.0 <= bounds[0] < bounds[2] <= 180.0
