"""Points on the sphere: squares to draw together, distances, and points drawn where one looked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from s2s_map.datasets.splits import EARTH_KM
from s2s_map.errors import DataError

_KM_PER_DEGREE = np.pi * EARTH_KM / 180
_ROUNDS = 200

type ValuesAt = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Values of a map at longitudes and latitudes, NaN outside and where it has no data."""


def squares(
    longitude: NDArray[np.float64], latitude: NDArray[np.float64], side_km: float
) -> NDArray[np.int64]:
    """Number the squares of equal area in which points lie.

    Squares of the sinusoidal projection, whatever CRS a map is in.

    Returns:
        Equal numbers for points of one square, (n,).
    """
    y = np.floor(latitude * _KM_PER_DEGREE / side_km).astype(np.int64)
    x = np.floor(longitude * np.cos(np.radians(latitude)) * _KM_PER_DEGREE / side_km)
    _, numbers = np.unique(np.stack([x.astype(np.int64), y], axis=1), axis=0, return_inverse=True)
    return np.asarray(numbers, dtype=np.int64).reshape(-1)


def draw_like(
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    values_at: ValuesAt,
    count: int,
    spread_km: float,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Draw points of a map as densely as other points lie.

    From the Gaussian kernel density of those points, cut off where the map has no data: each is
    one of them, moved at random.

    Args:
        longitude: Of the points that show where one looked, degrees.
        latitude: Degrees.
        values_at: Values of the map.
        count: Points to draw.
        spread_km: Standard deviation of the kernel along each axis, kilometres.
        seed: Of the draws.

    Returns:
        Longitude, latitude and value of each, (count,).

    Raises:
        DataError: If hardly any falls on the map.
    """
    random = np.random.default_rng(seed)
    parts: list[tuple[NDArray[np.float64], ...]] = []
    drawn = 0
    for _ in range(_ROUNDS):
        chosen = random.integers(0, len(longitude), count)
        move = random.normal(scale=spread_km / _KM_PER_DEGREE, size=(2, count))
        lat = np.clip(latitude[chosen] + move[0], -90, 90)
        shrink = np.maximum(np.cos(np.radians(lat)), 1e-3)
        lon = (longitude[chosen] + move[1] / shrink + 180) % 360 - 180
        values = values_at(lon, lat)
        kept = np.isfinite(values)
        parts.append((lon[kept], lat[kept], values[kept]))
        drawn += int(kept.sum())
        if drawn >= count:
            lon, lat, values = (np.concatenate(one)[:count] for one in zip(*parts, strict=True))
            return lon, lat, values
    raise DataError(
        f"only {drawn} of {_ROUNDS * count:,} background points fall on cells with data",
        expected=f"{count:,}",
        remedy="give effort points (--effort) that lie on the map",
    )
