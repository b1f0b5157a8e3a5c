"""Patches: on an anchored lattice, plain windows of one read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.errors import ConfigError
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.patches import PatchLayout, cut

DEMO = PatchLayout(patch_m=2560, input_px=224, stride_m=640)
SMALL = PatchLayout(patch_m=80, input_px=8, stride_m=20, tokens=4)
LAYOUTS = [
    DEMO,
    SMALL,
    PatchLayout(patch_m=2560, input_px=112, stride_m=1280),
    PatchLayout(patch_m=180, input_px=224, stride_m=45),
    PatchLayout(patch_m=51.2, input_px=224, stride_m=24),
    PatchLayout(patch_m=2560, input_px=224, stride_m=2560),
]

layouts = st.sampled_from(LAYOUTS)
corners = st.integers(-3_000, 50_000)


def test_the_demo_profile_has_whole_pixel_strides() -> None:
    assert DEMO.stride_px == 56
    assert DEMO.pixel_m == pytest.approx(2560 / 224)
    assert DEMO.token_m == pytest.approx(182.857, abs=1e-3)
    assert DEMO.overlap == 0.75


def test_a_stride_between_pixels_names_the_nearest_two() -> None:
    with pytest.raises(ConfigError, match="take stride_m: 160 or 240"):
        PatchLayout(patch_m=2560, input_px=224, stride_m=180)
    with pytest.raises(ConfigError, match=r"take stride_m: 159\.9375 or 171\.3616"):
        PatchLayout(patch_m=2559, input_px=224, stride_m=165)
    with pytest.raises(ConfigError, match=r"stride_m: 80 or 160"):
        PatchLayout(patch_m=2560, input_px=224, stride_m=3)


@given(st.floats(1.0, 3000.0), st.floats(0.01, 4000.0))
def test_the_strides_that_are_proposed_are_taken(patch_m: float, stride_m: float) -> None:
    patch_m = round(patch_m, 1)
    try:
        PatchLayout(patch_m, 224, stride_m)
    except ConfigError as error:
        for proposal in error.remedy.removeprefix("take stride_m: ").split(" or "):
            layout = PatchLayout(patch_m, 224, float(proposal))
            assert layout.stride_m == pytest.approx(float(proposal), rel=1e-5)


def test_a_stride_written_with_few_decimals_is_made_exact() -> None:
    layout = PatchLayout(patch_m=2560, input_px=224, stride_m=171.4286)
    assert layout.stride_px == 15
    assert layout.stride_m == float(15 * 2560 / 224)


def test_sizes_must_fit() -> None:
    with pytest.raises(ConfigError, match="sizes above 0"):
        PatchLayout(patch_m=0, input_px=224, stride_m=640)
    with pytest.raises(ConfigError, match="tokens of whole pixels"):
        PatchLayout(patch_m=2560, input_px=224, stride_m=640, tokens=15)


@given(layouts, corners, corners, st.integers(1, 200), st.integers(1, 200))
def test_token_level_takes_every_patch_that_overlaps_and_no_other(
    layout: PatchLayout, x: int, y: int, width: int, height: int
) -> None:
    patchset = layout.patches_for((x, y, x + width, y + height), "token")
    half = layout.patch_m / 2
    for centres, low, size in ((patchset.x, x, width), (np.flip(patchset.y), y, height)):
        overlap = np.minimum(centres + half, low + size) - np.maximum(centres - half, low)
        assert (overlap > -1e-6).all()
        for beyond in (centres[0] - layout.stride_m, centres[-1] + layout.stride_m):
            assert min(beyond + half, low + size) - max(beyond - half, low) <= 1e-6
        np.testing.assert_allclose(np.diff(centres), layout.stride_m)


@given(layouts, corners, corners)
def test_centres_lie_on_the_lattice_and_edges_on_pixels(
    layout: PatchLayout, x: int, y: int
) -> None:
    patchset = layout.patches_for((x, y, x + 100, y + 100), "token")
    for centres in (patchset.x, patchset.y):
        steps = centres / layout.stride_m - 0.5
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    minx, miny, maxx, maxy = patchset.read_bounds
    assert (maxx - minx) / layout.pixel_m == pytest.approx(patchset.read_shape[1])
    assert (maxy - miny) / layout.pixel_m == pytest.approx(patchset.read_shape[0])
    reference = layout.edge(0)
    assert (minx - reference) / layout.pixel_m == pytest.approx(
        round((minx - reference) / layout.pixel_m), abs=1e-6
    )


@given(st.integers(-20, 60), st.integers(-20, 60), st.integers(1, 9), st.integers(1, 9))
def test_patch_level_gives_one_patch_per_cell_centred_on_it(
    left: int, bottom: int, width: int, height: int
) -> None:
    bounds = (left * 640.0, bottom * 640.0, (left + width) * 640.0, (bottom + height) * 640.0)
    grid = MapGrid.from_bounds(bounds, "EPSG:32621", 640, 4)
    for block in grid.blocks():
        patchset = DEMO.patches_for(block.bounds, "patch")
        assert patchset.shape == block.shape
        np.testing.assert_allclose(patchset.x, grid.x[block.x])
        np.testing.assert_allclose(patchset.y, grid.y[block.y])


def test_patch_level_needs_cells_of_the_stride() -> None:
    with pytest.raises(ConfigError, match="take stride_m equal to cell_m"):
        DEMO.patches_for((0.0, 0.0, 160.0, 160.0), "patch")


def test_token_level_needs_patches_that_touch() -> None:
    sparse = PatchLayout(patch_m=2560, input_px=224, stride_m=3840)
    with pytest.raises(ConfigError, match="stride of at most 2560 m, or level: patch"):
        sparse.patches_for((0.0, 0.0, 160.0, 160.0), "token")
    assert sparse.patches_for((0.0, 0.0, 3840.0, 3840.0), "patch").count == 1


def test_patches_are_windows_of_the_read() -> None:
    patchset = SMALL.patches_for((0.0, 0.0, 60.0, 100.0), "token")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, *patchset.read_shape), dtype=np.uint8)
    patches = cut(pixels, patchset, slice(None))
    assert patches.shape == (patchset.count, 3, 8, 8)
    minx, _, _, maxy = patchset.read_bounds
    for patch, (x, y) in zip(patches, patchset.centres(slice(None)), strict=True):
        top = round((maxy - (y + 40.0)) / SMALL.pixel_m)
        left = round((x - 40.0 - minx) / SMALL.pixel_m)
        np.testing.assert_array_equal(patch, pixels[:, top : top + 8, left : left + 8])
    np.testing.assert_array_equal(cut(pixels, patchset, [5, 2]), patches[[5, 2]])
    np.testing.assert_array_equal(cut(pixels[0], patchset, range(3)), patches[:3, 0])


def test_a_cut_is_a_copy() -> None:
    patchset = SMALL.patches_for((0.0, 0.0, 60.0, 60.0), "token")
    pixels = np.zeros((3, *patchset.read_shape), dtype=np.uint8)
    cut(pixels, patchset, slice(None))[:] = 1
    assert not pixels.any()


def test_a_read_of_another_shape_is_refused() -> None:
    patchset = SMALL.patches_for((0.0, 0.0, 60.0, 60.0), "token")
    with pytest.raises(ValueError, match="the patches need"):
        cut(np.zeros((3, 5, 5), dtype=np.uint8), patchset, slice(None))


def test_rows_run_south_and_columns_east() -> None:
    patchset = SMALL.patches_for((0.0, 0.0, 60.0, 100.0), "token")
    assert (np.diff(patchset.y) < 0).all()
    assert (np.diff(patchset.x) > 0).all()
    centres = patchset.centres([0, 1, patchset.count - 1])
    assert centres[0].tolist() == [patchset.x[0], patchset.y[0]]
    assert centres[1].tolist() == [patchset.x[1], patchset.y[0]]
    assert centres[2].tolist() == [patchset.x[-1], patchset.y[-1]]
