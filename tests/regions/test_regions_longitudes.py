"""Images in degrees lie where they lie, however their longitudes are counted."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.crs import CRS

from s2s_map.regions.longitudes import by_whole_turns, full_turn, parted, turned

LONLAT, PARIS, UTM = CRS("EPSG:4326"), CRS("EPSG:4807"), CRS("EPSG:32621")


def test_a_turn_is_in_the_units_of_the_crs() -> None:
    assert full_turn(LONLAT) == 360.0
    assert full_turn(PARIS) == 400.0  # grads
    assert full_turn(UTM) is None


@pytest.mark.parametrize(
    ("west", "width", "expected"),
    [
        (305.25, 0.5, -54.75),
        (179.75, 0.5, 179.75),
        (-180.25, 0.5, 179.75),
        (0.0, 360.0, 0.0),
        (-180.0, 360.0, -180.0),
        (180.0, 360.0, -180.0),
        (720.5, 1.0, 0.5),
        (-725.0, 1.0, -5.0),
    ],
)
def test_only_whole_turns_are_taken_off(west: float, width: float, expected: float) -> None:
    shape = (10, 100)
    found = by_whole_turns(Affine(width / 100, 0, west, 0, -1, 5), shape, LONLAT)
    assert found == Affine(width / 100, 0, expected, 0, -1, 5)


def test_metres_are_no_longitudes() -> None:
    transform = Affine(10, 0, 720_000, 0, -10, 7_200_000)
    assert by_whole_turns(transform, (10, 10), UTM) == transform
    box = shapely.box(720_000, 0, 730_000, 10)
    assert parted(box, UTM) is box


@given(st.integers(-720 * 64, 720 * 64), st.integers(1, 360 * 64), st.integers(-180 * 64, 180 * 64))
def test_an_outline_holds_the_longitudes_of_its_image(west: int, width: int, lon: int) -> None:
    # In 64ths of a degree: exact in floats, all sums included.
    box = shapely.box(west / 64, 0, (west + width) / 64, 1)
    found = parted(box, LONLAT)
    assert found.area == width / 64
    assert found.bounds[0] >= -180.0
    assert found.bounds[2] <= 180.0
    inside = (lon - west) % (360 * 64)
    if 0 < inside < width:
        assert found.covers(shapely.Point(lon / 64, 0.5))
    if width < inside:
        assert not found.covers(shapely.Point(lon / 64, 0.5))


@given(st.floats(-180.0, 180.0), st.floats(-360.0, 360.0))
def test_longitudes_come_to_lie_around_a_middle(lon: float, middle: float) -> None:
    found = float(turned(np.array([lon]), middle, 360.0)[0])
    assert abs(found - middle) <= 180.0 + 1e-9
    assert found == lon if abs(lon - middle) < 180.0 else True
