"""The CRS a region is mapped in."""

from __future__ import annotations

import pytest
from odc.geo.crs import CRS

from s2s_map.errors import RegionError
from s2s_map.regions.region import Outline
from s2s_map.regions.region_file import read_outline
from s2s_map.tiling.crs import choose_crs, is_metric
from s2s_map.tiling.splitting import crs_name


def box(*bounds: float) -> Outline:
    return read_outline(list(bounds), [])


IGUACU = box(-54.8, -25.6, -54.2, -25.1)


def test_the_requested_crs_is_taken() -> None:
    assert choose_crs("EPSG:32621", IGUACU, "EPSG:6933") == CRS("EPSG:6933")
    assert choose_crs("EPSG:32621", IGUACU, "the Earth") == CRS("EPSG:6933")


@pytest.mark.parametrize("requested", ["EPSG:4326", "EPSG:2263", "EPSG:999999", "here"])
def test_a_requested_crs_that_is_not_in_metres_is_refused(requested: str) -> None:
    with pytest.raises(RegionError, match="EPSG:32632") as error:
        choose_crs(None, IGUACU, requested)
    assert requested in str(error.value)
    assert "\n" not in str(error.value)


def test_imagery_in_metres_keeps_its_own() -> None:
    assert choose_crs("EPSG:32621", IGUACU) == CRS("EPSG:32621")


@pytest.mark.parametrize("scene_crs", [None, "EPSG:4326", "EPSG:3857", "EPSG:4087", "EPSG:2263"])
def test_else_the_utm_zone_of_the_centre(scene_crs: str | None) -> None:
    assert choose_crs(scene_crs, IGUACU) == CRS("EPSG:32721")


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((6.0, 46.0, 10.0, 47.5), "EPSG:32632"),
        ((36.7, -1.4, 36.9, -1.2), "EPSG:32737"),
        ((177.0, -19.0, -179.0, -16.0), "EPSG:32760"),  # Fiji, across the antimeridian
        ((179.5, 65.0, -174.0, 68.0), "EPSG:32601"),
    ],
)
def test_zones_of_known_places(bounds: tuple[float, float, float, float], expected: str) -> None:
    assert choose_crs(None, box(*bounds)) == CRS(expected)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((0.0, 85.0, 10.0, 89.0), "EPSG:6931"),
        ((-20.0, -89.0, -10.0, -85.0), "EPSG:6932"),
        ((-10.0, 36.0, 30.0, 60.0), "LAEA 40N 0E"),
        ((-180.0, -90.0, 180.0, 90.0), "EPSG:6933"),
    ],
)
def test_what_fits_in_no_zone_is_mapped_in_equal_area(
    bounds: tuple[float, float, float, float], expected: str
) -> None:
    assert crs_name(choose_crs(None, box(*bounds))) == expected


def test_a_degree_beyond_its_zone_still_fits() -> None:
    assert choose_crs(None, box(5.2, 46.0, 12.9, 47.0)) == CRS("EPSG:32632")
    assert crs_name(choose_crs(None, box(4.8, 46.0, 13.1, 47.0))) == "LAEA 40N 0E"


def test_a_crs_is_metric_or_not() -> None:
    assert is_metric(CRS("EPSG:32621"))
    assert is_metric(CRS("EPSG:6933"))
    assert not is_metric(CRS("EPSG:4326"))
    assert not is_metric(CRS("EPSG:2263"))
