"""Missing pixels mirror the valid ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from s2s_map.encoding import filling
from s2s_map.encoding.filling import fill_invalid

masks = arrays(np.bool_, st.tuples(st.just(3), st.integers(1, 9), st.integers(1, 9)))


def ramp(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Pixels (B, 3, y, x) that all differ, as far as 8 bits go."""
    count, rows, cols = shape
    return np.arange(count * 3 * rows * cols).astype(np.uint8).reshape(count, 3, rows, cols)


def test_a_border_is_mirrored_about_its_outermost_pixels() -> None:
    pixels = np.arange(8, dtype=np.uint8) * np.ones((1, 3, 4, 1), dtype=np.uint8)
    valid = np.zeros((1, 4, 8), dtype=np.bool_)
    valid[0, :, 2:5] = True
    # 2 3 4 are known: outwards it goes back and forth.
    assert fill_invalid(pixels, valid)[0, 0, 0].tolist() == [4, 3, 2, 3, 4, 3, 2, 3]


def test_without_a_valid_pixel_a_patch_is_grey() -> None:
    pixels = ramp((2, 4, 4))
    valid = np.ones((2, 4, 4), dtype=np.bool_)
    valid[1] = False
    filled = fill_invalid(pixels, valid)
    assert (filled[0] == pixels[0]).all()
    assert (filled[1] == 127).all()


def test_one_valid_pixel_colours_the_patch() -> None:
    pixels, valid = ramp((1, 5, 5)), np.zeros((1, 5, 5), dtype=np.bool_)
    valid[0, 1, 3] = True
    assert (fill_invalid(pixels, valid)[0] == pixels[0, :, 1, 3][:, None, None]).all()


@given(masks)
def test_valid_pixels_stay_and_the_others_have_colours_of_the_patch(
    valid: NDArray[np.bool_],
) -> None:
    pixels = ramp(valid.shape)
    before = pixels.copy()
    filled = fill_invalid(pixels, valid)
    assert (pixels == before).all()
    for one, own, seen in zip(filled, pixels, valid, strict=True):
        assert (one[:, seen] == own[:, seen]).all()
        if seen.any():
            known = {tuple(colour) for colour in own[:, seen].T.tolist()}
            assert {tuple(colour) for colour in one.reshape(3, -1).T.tolist()} <= known


@given(masks)
def test_what_is_missing_is_not_looked_at(valid: NDArray[np.bool_]) -> None:
    pixels = ramp(valid.shape)
    other = np.where(valid[:, None], pixels, np.uint8(255))
    assert (fill_invalid(pixels, valid) == fill_invalid(other, valid)).all()


@given(
    st.integers(0, 7), st.integers(1, 8), st.integers(0, 7), st.integers(1, 8), st.integers(8, 12)
)
def test_rectangles_come_out_as_by_the_nearest_pixel(
    top: int, rows: int, left: int, cols: int, side: int
) -> None:
    valid = np.zeros((1, side, side), dtype=np.bool_)
    valid[0, top : top + rows, left : left + cols] = True
    pixels = ramp(valid.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filling, "_is_run", lambda _: False)
        slow = fill_invalid(pixels, valid)
    assert (fill_invalid(pixels, valid) == slow).all()


def test_ragged_holes_are_filled_with_what_is_near() -> None:
    valid = np.random.default_rng(3).random((1, 40, 40)) < 0.5
    pixels = np.arange(40, dtype=np.uint8) * np.ones((1, 3, 40, 1), dtype=np.uint8)
    filled = fill_invalid(pixels, valid)[0].astype(np.int16)
    # Half of all pixels are known: one in a window of 7 x 7, all but surely, and its mirror image.
    assert np.abs(filled - pixels[0]).max() <= 12
