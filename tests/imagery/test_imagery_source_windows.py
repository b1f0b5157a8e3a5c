"""What of a scene is read for a part of a lattice of another CRS: enough, and not too much."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.crs import CRS
from pyproj import Transformer

from s2s_map.catalog.scene import Scene
from s2s_map.imagery.lattice import Lattice, PixelWindow
from s2s_map.imagery.source_windows import scale_at, union, windows_under
from s2s_map.imagery.warped import resample_warped

UTM, LAEA, FIJI = CRS("EPSG:32632"), CRS("EPSG:3035"), CRS("EPSG:32760")
POLAR, LONLAT = CRS("EPSG:3413"), CRS("EPSG:4326")


def make_scene(crs: CRS, transform: Affine, shape: tuple[int, int], gsd_m: float) -> Scene:
    corners = [transform * (x, y) for x in (0, shape[1]) for y in (0, shape[0])]
    xs, ys = zip(*corners, strict=True)
    scene = Scene(
        uri="",
        bounds=(min(xs), min(ys), max(xs), max(ys)),
        crs=crs,
        shape=shape,
        transform=transform,
        band_count=3,
        dtype="uint8",
        valid="mask",
    )
    assert scene.gsd_m == pytest.approx(gsd_m, rel=0.3)
    return scene


def whole_earth(step: float) -> Scene:
    """Longitudes and latitudes."""
    shape = (round(180 / step), round(360 / step))
    return make_scene(LONLAT, Affine(step, 0, -180, 0, -step, 90), shape, step * 111_000)


def lattice_of(pixel: int) -> Lattice:
    return Lattice(Fraction(pixel), Fraction(0), Fraction(0))


def window_at(x: float, y: float, pixel: int, high: int, wide: int) -> PixelWindow:
    return PixelWindow(round(-y / pixel), round(x / pixel), high, wide)


@given(
    st.integers(2, 60),
    st.integers(1, 300),
    st.integers(1, 300),
    st.floats(-40.0, 40.0),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_what_lies_under_each_pixel_is_within(
    pixel: int, high: int, wide: int, angle: float, x: float, y: float
) -> None:
    origin = Affine.translation(4_300_000, 2_700_000) * Affine.rotation(angle)
    scene = make_scene(LAEA, origin * Affine.scale(10, -10), (4000, 4000), 10.0)
    centre = scene.transform * (1000 + 2000 * x, 1000 + 2000 * y)
    e, n = Transformer.from_crs(3035, 32632, always_xy=True).transform(*centre)
    part = window_at(e, n, pixel, high, wide)
    (rows, cols) = union(windows_under(scene, lattice_of(pixel), part, UTM))
    down, across = np.mgrid[0 : high + 1, 0 : wide + 1]
    back = Transformer.from_crs(32632, 3035, always_xy=True).transform(
        (part.left + across.ravel()) * pixel, -(part.top + down.ravel()) * pixel
    )
    col, row = ~scene.transform * np.asarray(back)
    reach = 2.0 * max(1.0, pixel / 10.0)
    for place, span, size in ((row, rows, 4000), (col, cols, 4000)):
        assert span.start <= max(place.min() - reach, 0)
        assert span.stop >= min(place.max() + reach, size)


def test_the_antimeridian_is_two_windows_and_not_the_whole_earth() -> None:
    scene, lattice = whole_earth(0.01), lattice_of(500)
    x, y = Transformer.from_crs(4326, FIJI.to_epsg(), always_xy=True).transform(180.0, -17.0)
    part = window_at(x - 50_000, y, 500, 200, 200)
    windows = windows_under(scene, lattice, part, FIJI)
    assert sorted(cols.start == 0 for _, cols in windows) == [False, True]
    assert max(cols.stop for _, cols in windows) == scene.shape[1]
    assert all(cols.stop - cols.start < 200 for _, cols in windows)
    asked = []

    def fetch(rows: slice, cols: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        asked.append((rows.stop - rows.start) * (cols.stop - cols.start))
        high, wide = np.mgrid[rows, cols]
        # West of the antimeridian 200, east of it 50: what is mixed would lie between.
        values = np.where(wide > scene.shape[1] / 2, 200.0, 50.0).astype(np.float32)
        return np.stack([values] * 3), np.ones(high.shape, dtype=np.bool_)

    pixels, valid = resample_warped(scene, lattice, part, FIJI, fetch, None)
    assert valid.all()
    assert max(asked) < 100_000
    lon, _ = Transformer.from_crs(FIJI.to_epsg(), 4326, always_xy=True).transform(
        *np.meshgrid(
            (part.left + np.arange(200) + 0.5) * 500, -(part.top + np.arange(200) + 0.5) * 500
        )
    )
    np.testing.assert_array_equal(pixels[0], np.where(lon > 0, 200, 50))


def test_around_a_pole_all_longitudes_are_read() -> None:
    scene = whole_earth(0.25)
    (window,) = windows_under(scene, lattice_of(25_000), PixelWindow(-8, -8, 16, 16), POLAR)
    rows, cols = window
    assert rows.start == 0
    assert cols.start < 60
    assert cols.stop > scene.shape[1] - 60


def test_what_has_no_place_on_earth_or_in_the_scene_has_no_window() -> None:
    beyond = window_at(4e7, 4e7, 1000, 64, 64)
    assert windows_under(whole_earth(0.1), lattice_of(1000), beyond, LAEA) == []
    elsewhere = make_scene(UTM, Affine(10, 0, 5e5, 0, -10, 1e6), (100, 100), 10.0)
    far = window_at(4.3e6, 2.7e6, 10, 64, 64)
    assert windows_under(elsewhere, lattice_of(10), far, LAEA) == []


def test_scale_is_that_of_the_middle() -> None:
    scene = make_scene(CRS("EPSG:3857"), Affine(10, 0, 1e6, 0, -10, 8.5e6), (9999, 9999), 4.6)
    x, y = Transformer.from_crs(4326, 32632, always_xy=True).transform(9.2, 60.0)
    down, across = scale_at(scene, lattice_of(20), window_at(x, y, 20, 2, 2), UTM)
    assert down == pytest.approx(4.0, rel=0.02)
    assert across == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 180.0])
def test_the_scale_of_a_rotated_scene_is_that_of_its_pixels(angle: float) -> None:
    origin = Affine.translation(5e5, 5e6) * Affine.rotation(angle)
    scene = make_scene(UTM, origin * Affine.scale(10, -10), (1000, 1000), 10.0)
    x, y = scene.transform * (500, 500)
    part = window_at(x, y, 20, 64, 64)
    assert scale_at(scene, lattice_of(20), part, UTM) == pytest.approx((2.0, 2.0))

    def fetch(rows: slice, cols: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        shape = (rows.stop - rows.start, cols.stop - cols.start)
        return np.full((3, *shape), 70.0, dtype=np.float32), np.ones(shape, dtype=np.bool_)

    pixels, valid = resample_warped(scene, lattice_of(20), part, UTM, fetch, None)
    assert valid.all()
    assert (pixels == 70).all()
