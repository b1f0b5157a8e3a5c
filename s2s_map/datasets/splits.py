"""Splits that are fair in space: whole blocks of ground belong to one split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from s2s_map.datasets.schema import SPLITS, Split
from s2s_map.errors import DataError

EARTH_KM = 6371.0088
"""Mean radius."""

BLOCK_KM = 10.0
SHARES = (0.8, 0.1, 0.1)

Blocks = NDArray[np.int64]


def blocks_of(longitude: ArrayLike, latitude: ArrayLike, block_km: float = BLOCK_KM) -> Blocks:
    """The block (row, column) that each place lies in, shape (n, 2).

    Rows are bands of latitude, `block_km` high; each is cut into columns about as wide.

    Args:
        longitude: Degrees east (n,).
        latitude: Degrees north (n,).
        block_km: Side of a block, kilometres.
    """
    degree_km = np.pi * EARTH_KM / 180
    latitudes = np.asarray(latitude, dtype=np.float64)
    longitudes = (np.asarray(longitude, dtype=np.float64) + 180) % 360
    row = np.floor((latitudes + 90) * degree_km / block_km)
    middle = np.radians((row + 0.5) * block_km / degree_km - 90)
    columns = np.maximum(1, np.round(360 * degree_km * np.cos(middle) / block_km))
    column = np.floor(longitudes / 360 * columns)
    return np.stack([row, column], axis=1).astype(np.int64)


def spatial_split(
    longitude: ArrayLike,
    latitude: ArrayLike,
    *,
    shares: Sequence[float] = SHARES,
    block_km: float = BLOCK_KM,
    seed: int = 0,
) -> list[Split]:
    """Assign each place to a split by its block, as the paper's data sets do.

    A block's split depends on the block and the seed alone: places added later move no others.

    Args:
        longitude: Degrees east (n,).
        latitude: Degrees north (n,).
        shares: Of blocks for train, val and test; they sum to 1.
        block_km: Side of a block, kilometres.
        seed: Decides which blocks go where.

    Raises:
        DataError: For shares that are not three that sum to 1.
    """
    if len(shares) != len(SPLITS) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise DataError(
            f"shares {', '.join(map(str, shares))}",
            expected="three for train, val and test that sum to 1",
        )
    limits = np.cumsum(shares)
    found: dict[tuple[int, int], Split] = {}
    result: list[Split] = []
    for row, column in blocks_of(longitude, latitude, block_km).tolist():
        block = (row, column)
        if block not in found:
            digest = hashlib.sha256(f"{seed}/{block_km:g}/{row}/{column}".encode()).digest()
            drawn = int.from_bytes(digest[:8], "big") / 2**64
            found[block] = SPLITS[min(int(np.searchsorted(limits, drawn, side="right")), 2)]
        result.append(found[block])
    return result


def too_near(
    longitude: ArrayLike, latitude: ArrayLike, splits: Sequence[Split], gap_km: float
) -> NDArray[np.bool_]:
    """Which training places lie within a gap of a held-out one: their imagery overlaps.

    Args:
        longitude: Degrees east (n,).
        latitude: Degrees north (n,).
        splits: Of each place.
        gap_km: Great-circle distance, kilometres.
    """
    lon, lat = np.asarray(longitude, float), np.asarray(latitude, float)
    training = np.array([split == "train" for split in splits], dtype=bool)
    found = np.zeros(len(lon), dtype=bool)
    if gap_km > 0:
        found[training] = near(lon[training], lat[training], lon[~training], lat[~training], gap_km)
    return found


def near(
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    other_longitude: NDArray[np.float64],
    other_latitude: NDArray[np.float64],
    within_km: float,
) -> NDArray[np.bool_]:
    """Which places have another one within a great-circle distance, (n,)."""
    from scipy.spatial import cKDTree

    if not (len(longitude) and len(other_longitude)):
        return np.zeros(len(longitude), dtype=bool)
    chord = 2 * np.sin(min(within_km / EARTH_KM, np.pi) / 2)
    tree = cKDTree(_on_unit_sphere(other_longitude, other_latitude))
    distance, _ = tree.query(_on_unit_sphere(longitude, latitude))
    return np.asarray(distance <= chord)


def _on_unit_sphere(
    longitude: NDArray[np.float64], latitude: NDArray[np.float64]
) -> NDArray[np.float64]:
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
