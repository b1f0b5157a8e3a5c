"""Resampling: cubic as GDAL does it, means by shared length, no bleeding of missing data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject

from s2s_map.encoding.exact import resize_patches
from s2s_map.imagery.resampling import (
    Taps,
    grow_into_invalid,
    weighted_columns,
    weighted_rows,
)

scales = st.floats(0.05, 12.0)


@given(st.integers(-1000, 1000), st.integers(1, 50), scales, st.floats(-100.0, 100.0))
def test_weights_add_up_to_one(first: int, count: int, scale: float, offset: float) -> None:
    taps = Taps.along(first, count, scale, offset)
    np.testing.assert_allclose(taps.weight.sum(axis=1), 1.0, atol=1e-5)
    assert taps.index.shape == taps.weight.shape
    assert len(taps.nearest) == count
    assert (np.abs(taps.weight).max(axis=1) <= 1.0 + 1e-6).all()


@given(st.integers(-50, 50), scales, st.floats(-100.0, 100.0), st.integers(0, 10))
def test_a_pixel_does_not_depend_on_its_neighbours(
    first: int, scale: float, offset: float, skip: int
) -> None:
    whole, part = Taps.along(first, 20, scale, offset), Taps.along(first + skip, 5, scale, offset)
    same = whole.part(slice(skip, skip + 5))
    assert same.weight.tobytes() == part.weight.tobytes()
    assert same.index.tobytes() == part.index.tobytes()
    np.testing.assert_array_equal(same.nearest, part.nearest)


@pytest.mark.parametrize("scale", [0.381, 1.0, 1.5])
def test_a_linear_ramp_is_interpolated_exactly(scale: float) -> None:
    ramp = np.arange(100, dtype=np.float32)[:, None] * 2.0
    taps = Taps.along(int(10 / scale), 30, scale, 0.0)
    got = weighted_rows(ramp, taps, 0)[:, 0]
    centre = (np.arange(int(10 / scale), int(10 / scale) + 30) + 0.5) * scale
    # Widened kernels (scale above 1) are not exact at every phase.
    np.testing.assert_allclose(got, (centre - 0.5) * 2.0, atol=1e-3 if scale <= 1 else 0.25)


def test_the_same_lattice_is_left_as_it_is() -> None:
    values = np.random.default_rng(0).random((3, 20, 30)).astype(np.float32)
    y, x = Taps.along(0, 20, 1.0, 0.0), Taps.along(0, 30, 1.0, 0.0)
    np.testing.assert_array_equal(weighted_columns(weighted_rows(values, y, 0), x, 0), values)


@given(st.floats(16.0, 20.0), st.floats(0.0, 5.0))
@settings(max_examples=30)
def test_large_pixels_are_means_by_shared_length(scale: float, offset: float) -> None:
    values = np.random.default_rng(1).random((140, 1)).astype(np.float32)
    got = weighted_rows(values, Taps.along(0, 6, scale, offset), 0)[:, 0]
    fine = np.repeat(values[:, 0], 2000)
    for i, value in enumerate(got):
        low, high = (round(((i + j) * scale + offset) * 2000) for j in (0, 1))
        assert value == pytest.approx(fine[low:high].mean(), abs=2e-3)


@pytest.mark.parametrize("target", [8.0, 30 / 7, 45.0])
def test_gdal_agrees_inside(target: float) -> None:
    source = np.random.default_rng(3).integers(0, 256, (40, 50)).astype(np.float32)
    crs, count = CRS.from_epsg(32621), 20
    expected = np.zeros((count, count), dtype=np.float32)
    reproject(
        source,
        expected,
        src_transform=from_origin(0, 1200, 30, 30),
        src_crs=crs,
        dst_transform=from_origin(120, 1080, target, target),
        dst_crs=crs,
        resampling=Resampling.cubic,
    )
    y = Taps.along(0, count, target / 30, 4.0)
    x = Taps.along(0, count, target / 30, 4.0)
    got = weighted_columns(weighted_rows(source, y, 0), x, 0)
    np.testing.assert_allclose(got, expected, atol=0.02 if target < 30 else 12.0)


def test_growing_fills_from_valid_neighbours_only() -> None:
    values = np.zeros((1, 5, 5), dtype=np.float32)
    values[0, :, 0] = 7.0
    valid = np.zeros((5, 5), dtype=np.bool_)
    valid[:, 0] = True
    grown = grow_into_invalid(values, valid, steps=2)
    np.testing.assert_array_equal(grown[0, :, :3], 7.0)
    np.testing.assert_array_equal(grown[0, :, 3:], 0.0)
    assert not values[0, :, 1:].any()


@pytest.mark.parametrize(
    ("source_px", "model_px"), [(256, 224), (768, 224), (1280, 224), (256, 112)]
)
def test_antialiased_as_pillow_does_it(source_px: int, model_px: int) -> None:
    y, x = np.mgrid[0:source_px, 0:source_px] / 20.0
    noise = np.random.default_rng(4).integers(0, 60, x.shape)
    image = np.clip(100 + 60 * np.sin(x) * np.cos(y) + noise, 0, 255).astype(np.uint8)
    expected = resize_patches(np.stack([image] * 3)[None], model_px)[0, 0]
    taps = Taps.along(0, model_px, source_px / model_px, 0.0)
    ours = weighted_columns(weighted_rows(image.astype(np.float32), taps, 0), taps, 0)
    reach = 3  # Pillow renormalises its kernel at the edge, where a block has its halo.
    inner = (slice(reach, -reach), slice(reach, -reach))
    assert np.abs(np.rint(ours) - expected)[inner].max() <= 1
