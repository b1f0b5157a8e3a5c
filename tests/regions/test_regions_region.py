"""Regions: bounding boxes, files, WKT, or all of the imagery."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas
import pytest
import shapely
from odc.geo.crs import CRS

from s2s_map.catalog.scene import Scene, inspect_scene
from s2s_map.config.catalog import RasterEntry
from s2s_map.errors import RegionError
from s2s_map.regions.projections import LONLAT, project, survives
from s2s_map.regions.region_file import load_region, read_outline
from s2s_map.tiling.crs import choose_crs

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster

UTM = CRS("EPSG:32621")
BOX = (-54.80, -25.14, -54.78, -25.12)


@pytest.fixture
def scene(make_raster: MakeRaster) -> Scene:
    entry = RasterEntry(
        type="raster", title="t", uri="x", sensor="landsat", licence="l", attribution="a"
    )
    return inspect_scene(str(make_raster(shape=(200, 200))), entry)


def test_nothing_given_is_the_whole_imagery(scene: Scene) -> None:
    region = load_region(None, [scene], UTM)
    assert region.polygon is None
    assert region.bounds == scene.bounds
    assert region.crs == UTM
    elsewhere = load_region(None, [scene], "EPSG:32622")
    assert elsewhere.polygon is not None
    assert read_outline(None, [scene]).extent.bounds == pytest.approx(
        (-54.82, -25.17, -54.75, -25.11), abs=0.02
    )


def test_several_scenes_leave_out_what_lies_between(scene: Scene, make_raster: MakeRaster) -> None:
    entry = RasterEntry(
        type="raster", title="t", uri="x", sensor="landsat", licence="l", attribution="a"
    )
    other = inspect_scene(str(make_raster("b.tif", place="utm_off_lattice")), entry)
    region = load_region(None, [scene, other], UTM)
    assert region.polygon is not None
    assert region.polygon.area < shapely.box(*region.bounds).area


def write_file(path: Path, crs: str | None, driver: str) -> Path:
    box = shapely.box(*BOX)
    if crs is not None:
        box = project(box, LONLAT, CRS(crs))
    geopandas.GeoDataFrame({"name": ["here"]}, geometry=[box], crs=crs).to_file(path, driver=driver)
    return path


SPECS: dict[str, Callable[[Path], object]] = {
    "list": lambda folder: list(BOX),
    "wkt": lambda folder: shapely.box(*BOX).wkt,
    "geojson": lambda folder: str(write_file(folder / "r.geojson", "EPSG:4326", "GeoJSON")),
    "gpkg": lambda folder: write_file(folder / "r.gpkg", "EPSG:32722", "GPKG"),
    "shp": lambda folder: str(write_file(folder / "r.shp", "EPSG:32621", "ESRI Shapefile")),
}


@pytest.mark.parametrize("kind", SPECS)
def test_every_way_to_say_it_gives_the_same_region(scene: Scene, tmp_path: Path, kind: str) -> None:
    spec = SPECS[kind](tmp_path)
    region = load_region(spec, [scene], UTM)  # type: ignore[arg-type]
    expected = project(shapely.box(*BOX), LONLAT, UTM)
    assert region.polygon is not None
    assert region.polygon.symmetric_difference(expected).area < 1e-3 * expected.area
    assert region.bounds == pytest.approx(expected.bounds, abs=5.0)
    assert read_outline(spec, [scene]).extent.bounds == pytest.approx(BOX, abs=1e-4)  # type: ignore[arg-type]


def test_edges_follow_their_parallel() -> None:
    wide = project(shapely.box(-60.0, -30.0, -54.0, -29.0), LONLAT, UTM)
    assert len(shapely.get_coordinates(wide)) > 100
    # The middle of the north edge bulges away from the straight line between its corners.
    north = max(y for x, y in shapely.get_coordinates(wide))
    corner = project(shapely.Point(-60.0, -29.0), LONLAT, UTM).y
    assert abs(north - corner) > 1000.0


def test_the_crs_follows_from_the_extent(scene: Scene) -> None:
    assert choose_crs(scene.crs, read_outline(list(BOX), [scene])) == UTM


def test_outside_the_imagery_both_extents_are_said(scene: Scene) -> None:
    with pytest.raises(RegionError, match="lies outside the imagery") as error:
        load_region([10.0, 45.0, 11.0, 46.0], [scene], UTM)
    text = str(error.value)
    assert "[10.0000, 45.0000, 11.0000, 46.0000]" in text
    assert "[-54.81" in text
    assert "\n" not in text
    assert error.value.exit_code == 2


def test_overlapping_the_imagery_partly_is_fine(scene: Scene) -> None:
    assert load_region([-55.5, -26.0, -54.7, -25.0], [scene], UTM).polygon is not None


def test_a_region_smaller_than_a_patch_is_fine(scene: Scene) -> None:
    region = load_region([-54.79, -25.13, -54.7899, -25.1299], [scene], UTM)
    assert region.bounds[2] - region.bounds[0] < 30.0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ([1.0, 2.0, 3.0], "a region of 3 numbers"),
        ([-54.8, -25.1, -54.7, -25.2], "south below north"),
        ([-54.7, -25.2, -54.8, -25.1], "359.9 degrees across the antimeridian"),
        ([-54.8, -25.2, -54.8, -25.1], "west and east apart"),
        ([-254.8, -25.2, -54.8, -25.1], "-180 to 180"),
        ([720000, -2783000, 723000, -2780000], "-180 to 180"),
        ("POLYGON ((0 0, 1", "does not parse"),
        ("POLYGON EMPTY", "without area"),
        ("POLYGON ((0 0, 1 1, 0 0))", "without area"),
        ("POLYGON ((720000 0, 720001 0, 720001 1, 720000 0))", "longitude and latitude"),
        ("absent.geojson", "no region file"),
        ("Switzerlnd", "did you mean 'Switzerland'"),
    ],
)
def test_what_is_not_a_region_is_refused(scene: Scene, spec: object, message: str) -> None:
    with pytest.raises(RegionError, match=message) as error:
        load_region(spec, [scene], UTM)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_files_that_are_not_regions_are_refused(scene: Scene, tmp_path: Path) -> None:
    text = tmp_path / "region.txt"
    text.write_text("hello")
    broken = tmp_path / "broken.geojson"
    broken.write_text("{")
    points = tmp_path / "points.geojson"
    points.write_text('{"type": "Point", "coordinates": [-54.8, -25.1]}')
    for path, message in ((text, "region.txt"), (broken, "cannot be read"), (points, "no polygon")):
        with pytest.raises(RegionError, match=message):
            load_region(path, [scene], UTM)
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        bare = write_file(tmp_path / "bare.shp", None, "ESRI Shapefile")
    with pytest.raises(RegionError, match="has no CRS"):
        load_region(bare, [scene], UTM)


def test_an_edge_on_the_antimeridian_fits() -> None:
    fiji = shapely.box(177.0, -19.0, 180.0, -16.0)
    assert survives(fiji, LONLAT, CRS("EPSG:32760"))
    assert not survives(shapely.box(-180.0, -90.0, 180.0, 90.0), LONLAT, UTM)
    assert survives(shapely.box(720_000, -2_783_000, 723_000, -2_780_000), UTM, LONLAT)


def test_a_region_that_does_not_fit_the_crs_is_refused(make_raster: MakeRaster) -> None:
    entry = RasterEntry(
        type="raster", title="t", uri="x", sensor="landsat", licence="l", attribution="a"
    )
    earth = inspect_scene(str(make_raster(place="dateline")), entry)
    with pytest.raises(RegionError, match="name a crs: that covers it"):
        load_region([-180.0, -90.0, 180.0, 90.0], [earth], UTM)
