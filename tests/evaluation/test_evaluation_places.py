"""Distances, squares and background on the sphere."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from s2s_map.datasets.splits import near
from s2s_map.errors import DataError
from s2s_map.evaluation.places import draw_like, squares


def test_near_is_a_distance_on_the_ground() -> None:
    lon, lat = np.array([10.0, 10.0, 179.99]), np.array([60.0, 60.0899, 0.0])
    other_lon, other_lat = np.array([10.0, -179.99]), np.array([60.0, 0.0])
    assert near(lon, lat, other_lon, other_lat, 10).tolist() == [True, True, True]
    assert near(lon, lat, other_lon, other_lat, 9.9).tolist() == [True, False, True]
    assert near(lon[:1] + 0.18, lat[:1], other_lon, other_lat, 10.1).all()


def test_squares_have_their_size_everywhere() -> None:
    for latitude in (0.01, 60.01):
        lon = np.linspace(0, 2 / np.cos(np.radians(latitude)), 2001)[:-1]
        counted = len(np.unique(squares(lon, np.full(2000, latitude), 10.0)))
        assert counted in (22, 23, 24)
    assert len(set(squares(np.array([1.0, 1.0]), np.array([2.0, 2.0]), 5.0))) == 1


def test_background_is_as_dense_as_the_effort_and_stays_on_the_map() -> None:
    def values_at(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(lat > 0, lon, np.nan)

    effort_lon = np.array([1.0, 1.0, 1.0, 5.0])
    lon, lat, values = draw_like(effort_lon, np.zeros(4), values_at, 2000, 20.0, 0)
    assert len(lon) == 2000
    assert (lat > 0).all()
    assert (values == lon).all()
    assert (np.abs(lon - 1) < 1).mean() == pytest.approx(0.75, abs=0.05)
    assert lat.std() < 0.25
    again = draw_like(effort_lon, np.zeros(4), values_at, 2000, 20.0, 0)
    assert (again[0] == lon).all()
    with pytest.raises(DataError, match="only 0 of"):
        draw_like(effort_lon, np.full(4, -5.0), values_at, 100, 1.0, 0)
