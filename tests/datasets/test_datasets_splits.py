"""Splits that are fair in space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.datasets.splits import EARTH_KM, blocks_of, spatial_split, too_near
from s2s_map.errors import DataError

places = st.lists(
    st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=1, max_size=60
)  # fmt: skip


def distance_km(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    lon_a, lat_a, lon_b, lat_b = np.radians([*a.T, *b.T])
    h = np.sin((lat_b - lat_a) / 2) ** 2
    h += np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(h, 0, 1)))


@given(places, st.integers(0, 5), st.sampled_from([1.0, 10.0, 300.0]))
def test_no_block_is_in_two_splits(
    found: list[tuple[float, float]], seed: int, block_km: float
) -> None:
    # A second place close to each, so that blocks hold several.
    lon, lat = np.array(found).T
    lon, lat = np.concatenate([lon, lon + 0.01]), np.concatenate([lat, lat])
    splits = spatial_split(lon, lat, seed=seed, block_km=block_km)
    owners: dict[tuple[int, ...], str] = {}
    for block, split in zip(blocks_of(lon, lat, block_km).tolist(), splits, strict=True):
        assert owners.setdefault(tuple(block), split) == split


@given(places)
def test_other_places_move_none(found: list[tuple[float, float]]) -> None:
    lon, lat = np.array(found).T
    alone = [spatial_split([x], [y])[0] for x, y in found]
    assert spatial_split(lon, lat) == alone
    assert spatial_split([190.0], [10.0]) == spatial_split([-170.0], [10.0])


@given(st.floats(-180, 180), st.floats(-85, 85))
def test_blocks_are_about_as_large_as_asked(lon: float, lat: float) -> None:
    # Twice the side apart in either direction is another block.
    degree = 180 / np.pi / EARTH_KM * 10
    other = np.array([[lon, min(lat + 2 * degree, 90.0)]])
    first = blocks_of([lon], [lat])[0]
    assert tuple(blocks_of(*other.T)[0]) != tuple(first)
    here = (lon + 180) % 360 - 180
    wide = 2.5 * degree / np.cos(np.radians(lat))
    assert tuple(blocks_of([here + wide], [lat])[0]) != tuple(first)


def test_shares_are_those_asked_for() -> None:
    random = np.random.default_rng(0)
    lon, lat = random.uniform(-180, 180, 20_000), random.uniform(-60, 60, 20_000)
    splits = spatial_split(lon, lat, shares=(0.7, 0.1, 0.2))
    assert splits.count("train") / 20_000 == pytest.approx(0.7, abs=0.02)
    assert splits.count("test") / 20_000 == pytest.approx(0.2, abs=0.02)
    assert set(spatial_split(lon[:50], lat[:50], shares=(1, 0, 0))) == {"train"}
    with pytest.raises(DataError, match="sum to 1"):
        spatial_split(lon, lat, shares=(0.5, 0.1, 0.1))


@given(st.integers(0, 20), st.sampled_from([1.0, 5.0, 30.0]))
def test_a_gap_keeps_training_away_from_what_is_held_out(seed: int, gap_km: float) -> None:
    random = np.random.default_rng(seed)
    lon, lat = 179.5 + random.uniform(0, 1, 60), random.uniform(60, 60.5, 60)
    splits = spatial_split(lon, lat, shares=(0.5, 0.25, 0.25), seed=seed)
    near = too_near(lon, lat, splits, gap_km)
    held = np.array([s != "train" for s in splits])
    points = np.stack([lon, lat], axis=1)
    for i in np.flatnonzero(~held):
        if held.any():
            nearest = distance_km(np.tile(points[i], (held.sum(), 1)), points[held]).min()
            assert near[i] == (nearest <= gap_km)
    assert not near[held].any()
