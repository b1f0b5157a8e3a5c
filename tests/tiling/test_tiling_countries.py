"""Shipped countries, and the regions that are hard: loaded, projected, gridded, masked."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import shapely
from pyproj import Geod, Proj

from s2s_map.errors import RegionError
from s2s_map.regions.extent import sample_points
from s2s_map.regions.place_names import find_place
from s2s_map.regions.place_region import place_region
from s2s_map.regions.places import shipped_places
from s2s_map.regions.projections import LONLAT
from s2s_map.regions.region import Outline, Region
from s2s_map.regions.region_file import project_outline, read_outline
from s2s_map.tiling.crs import choose_crs
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.needed import needed_blocks
from s2s_map.tiling.projections import NAMED, distance_error, projection_of
from s2s_map.tiling.region import region_mask

COUNTRIES = [place for place in shipped_places() if not place.is_unit]
GEOD = Geod(ellps="WGS84")


@lru_cache(maxsize=4)
def mapped(name: str) -> tuple[Outline, Region]:
    outline = read_outline(name, [])
    return outline, project_outline(outline, choose_crs(None, outline))


def ground_area(geometry: shapely.Geometry) -> float:
    return abs(float(GEOD.geometry_area_perimeter(shapely.orient_polygons(geometry))[0]))


def centres_lonlat(region: Region, grid: MapGrid) -> np.ndarray:
    points = []
    for block in needed_blocks(grid, region):
        mask = region_mask(region, grid, block)
        x, y = np.meshgrid(grid.x[block.x], grid.y[block.y])
        points.append(np.column_stack([x[mask], y[mask]]))
    xy = np.concatenate(points)
    lon, lat = grid.crs.transformer_to_crs(LONLAT, always_xy=True)(xy[:, 0], xy[:, 1])
    return np.column_stack([lon, lat])


# All of them are in test_tiling_table.py; here every third, and those that are hard.
HARD = {"Antarctica", "Fiji", "Kiribati", "New Zealand", "United States of America"}


@pytest.mark.parametrize(
    "place",
    [place for n, place in enumerate(COUNTRIES) if n % 3 == 0 or place.name in HARD],
    ids=lambda place: place.name,
)
def test_cells_of_countries(place) -> None:  # type: ignore[no-untyped-def]
    """Areas are true to 1 %, on the map and cell by cell, and no cell lies elsewhere."""
    outline = place_region(place.codes[0] if place.codes else place.name)
    crs = choose_crs(None, outline)
    region = project_outline(outline, crs)
    assert region.polygon is not None
    area = ground_area(outline.lonlat)
    assert region.polygon.area == pytest.approx(area, rel=0.01)

    scale = np.asarray(Proj(crs.proj).get_factors(*sample_points(outline.lonlat).T).areal_scale)
    assert np.abs(scale[np.abs(sample_points(outline.lonlat)[:, 1]) < 89.9] - 1.0).max() < 0.01

    # Some thousand cells: as many as a plan of the real size has blocks.
    cell_m = max(10, round((area / 4_000) ** 0.5))
    grid = MapGrid.from_bounds(region.bounds, crs, cell_m, 16)
    needed = needed_blocks(grid, region)
    assert 1 <= needed.cells <= 6_000
    if needed.cells > 1_000:
        assert needed.cells * cell_m**2 == pytest.approx(area, rel=0.04)
    near = outline.lonlat.buffer(1e-3)
    shapely.prepare(near)
    inside = shapely.contains_xy(near, centres_lonlat(region, grid))
    assert inside.mean() > 0.99 or needed.cells < 100


@pytest.mark.parametrize(
    ("name", "crs", "worst"),
    [
        ("Fiji", "LAEA 20S 180E", 0.01),
        ("Chukotka", "LAEA 60N 180E", 0.02),
        ("Svalbard", "the Arctic", 0.02),
        ("Antarctica", "Antarctica", 0.034),
        ("Russia", "Albers 50 80N 100E", 0.036),
        ("Chile", "LAEA 40S 60W", 0.03),
        ("US", "LAEA 40N 100W", 0.03),
        ("Kenya", "LAEA 0N 40E", 0.01),
        ("Ethiopia", "LAEA 0N 40E", 0.01),
        ("Brazil", "LAEA 10S 50W", 0.03),
        ("Hawaii", "LAEA 20N 160W", 0.01),
    ],
)
def test_hard_regions_have_their_projection(name: str, crs: str, worst: float) -> None:
    outline, region = mapped(name)
    entry = projection_of(region.crs)
    assert entry is not None
    assert entry.name == crs
    assert 0.0 < distance_error(region.crs, sample_points(outline.lonlat)) < worst


def test_across_the_antimeridian_the_map_is_one_piece() -> None:
    _, fiji = mapped("Fiji")
    assert fiji.bounds[2] - fiji.bounds[0] < 1_200_000
    _, chukotka = mapped("Chukotka")
    assert chukotka.bounds[2] - chukotka.bounds[0] < 2_500_000
    box = read_outline([177.0, -19.0, -179.0, -16.0], [])
    region = project_outline(box, choose_crs(None, box))
    assert region.polygon is not None
    assert shapely.get_num_geometries(region.polygon) == 1
    taveuni = LONLAT.transformer_to_crs(region.crs, always_xy=True)(-179.97, -16.85)
    assert region.polygon.contains(shapely.Point(*taveuni))


def test_a_crs_that_tears_a_region_apart_is_refused() -> None:
    outline = read_outline([177.0, -19.0, -179.0, -16.0], [])
    with pytest.raises(RegionError, match="fits in EPSG:6933"):
        project_outline(outline, choose_crs(None, outline, "EPSG:6933"))


def test_islands_and_city_states_smaller_than_a_cell_have_one() -> None:
    for name in ("Vatican City", "Monaco", "Clipperton I."):
        _, region = mapped(name)
        grid = MapGrid.from_bounds(region.bounds, region.crs, 640 * 8, 16)
        assert needed_blocks(grid, region).cells >= 1


def test_neighbours_of_one_crs_line_up_and_share_no_cell() -> None:
    grids, cells = [], []
    for name in ("Kenya", "Uganda", "Tanzania"):
        outline = read_outline(name, [])
        region = project_outline(outline, projection_of(mapped("Kenya")[1].crs).crs)  # type: ignore[union-attr]
        grid = MapGrid.from_bounds(region.bounds, region.crs, 5_000, 32)
        grids.append(grid)
        own = set()
        for block in needed_blocks(grid, region):
            rows, cols = np.nonzero(region_mask(region, grid, block))
            own |= {
                (x, y) for x, y in zip(grid.x[block.x][cols], grid.y[block.y][rows], strict=True)
            }
        cells.append(own)
    assert all(value % 5_000 == 0 for grid in grids for value in grid.bounds)
    assert not cells[0] & (cells[1] | cells[2])
    assert not cells[1] & cells[2]
    assert min(map(len, cells)) > 5_000


def test_a_cell_of_a_country_is_the_same_cell_of_its_part() -> None:
    """A canton in its country's CRS has the country's cells, no others."""
    _, country = mapped("Switzerland")
    part = project_outline(read_outline("CH-GR", []), country.crs)
    whole_grid = MapGrid.from_bounds(country.bounds, country.crs, 640, 64)
    part_grid = MapGrid.from_bounds(part.bounds, country.crs, 640, 64)
    assert set(part_grid.x) <= set(whole_grid.x)
    assert set(part_grid.y) <= set(whole_grid.y)


def test_named_projections_are_equal_area_and_in_metres() -> None:
    for entry in NAMED:
        x, y = (0.0, 89.0) if entry.name == "the Arctic" else (0.0, 0.0)
        x, y = (0.0, -89.0) if entry.name == "Antarctica" else (x, y)
        assert Proj(entry.crs.proj).get_factors(x, y).areal_scale == pytest.approx(1.0, 2e-3)
        assert projection_of(entry.crs) == entry
        assert choose_crs(None, mapped("Kenya")[0], entry.name) == entry.crs
    assert find_place("AQ", COUNTRIES).name == "Antarctica"
