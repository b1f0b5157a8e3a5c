"""Which observations can be compared with a map, and why the others cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2s_map.datasets.splits import near
from s2s_map.errors import DataError
from s2s_map.evaluation.places import ValuesAt
from s2s_map.evaluation.point_table import MOST_UNCERTAIN_M, PointTable


@dataclass(frozen=True)
class ObservedSettings:
    """How a map is compared with observations.

    Attributes:
        background: Background points to draw, for presences only.
        effort_km: Spread of the background around the effort points, kilometres.
        training_km: Observations this near to a training point are dropped, kilometres.
        block_km: Side of the squares that the bootstrap draws whole, kilometres.
        samples: Bootstrap samples.
        seed: Of background and bootstrap.
        unique: Whether observations that repeat the place and outcome of an earlier one are
            dropped.
        max_uncertainty_m: Observations whose place is known less well than this are left out.
    """

    background: int = 10_000
    effort_km: float = 5.0
    training_km: float = 10.0
    block_km: float = 50.0
    samples: int = 1000
    seed: int = 0
    unique: bool = False
    max_uncertainty_m: float = MOST_UNCERTAIN_M


@dataclass(frozen=True, eq=False)
class UsedPoints:
    """Observations that can be compared with a map, and how many were dropped for what.

    Attributes:
        longitude: Degrees east, (n,).
        latitude: Degrees north, (n,).
        present: Whether it was found there, (n,).
        values: Of the map there, (n,), finite.
        counts: Rows read, dropped for each reason, and left.
        notes: What a reader should know.
    """

    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    present: NDArray[np.bool_]
    values: NDArray[np.float64]
    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()


def use_points(
    points: PointTable,
    values_at: ValuesAt,
    training: PointTable | None,
    settings: ObservedSettings,
) -> UsedPoints:
    """Drop what cannot be compared with a map: training points first, then what is off the map.

    Args:
        points: The observations.
        values_at: Values of the map.
        training: Places of what the model was trained on; None: not known, which is noted.
        settings: How near to a training point is too near, and whether repeats are dropped.

    Raises:
        DataError: If none is left.
    """
    notes: list[str] = []
    kept = np.ones(len(points), dtype=bool)
    counts = {"read": len(points) + len(points.bad), "bad rows": len(points.bad)}
    if training is None:
        notes.append(
            "No training points were given: if the model was trained on recordings from here, the "
            "figures are too good. Give them with --training-points."
        )
    else:
        within = settings.training_km
        close = near(
            points.longitude, points.latitude, training.longitude, training.latitude, within
        )
        counts[f"within {within:g} km of a training point"] = int(close.sum())
        kept &= ~close
    values = values_at(points.longitude, points.latitude)
    off = kept & ~np.isfinite(values)
    counts["outside the map or on cells without data"] = int(off.sum())
    kept &= ~off
    swapped = _swapped(points, off, values_at)
    present = np.ones(len(points), dtype=bool) if points.present is None else points.present
    repeats = kept & _repeats(points, present, kept)
    if settings.unique:
        counts["repeats of a place already counted"] = int(repeats.sum())
        kept &= ~repeats
    elif repeats.any():
        notes.append(
            f"{int(repeats.sum()):,} observations repeat the place and outcome of another: places "
            "with many weigh more. --unique counts each once."
        )
    counts |= {
        "presences used": int(present[kept].sum()),
        "absences used": int((~present)[kept].sum()),
    }
    if not kept.any():
        dropped = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        raise DataError(
            f"none of the points of {points.name} can be compared with the map ({dropped})",
            remedy=swapped or "check that lon and lat are degrees, and that the points lie on it",
        )
    notes += [f"Check the table: {swapped}."] if swapped else []
    return UsedPoints(
        points.longitude[kept],
        points.latitude[kept],
        present[kept],
        values[kept],
        counts,
        tuple(notes),
    )


def away_from(values_at: ValuesAt, training: PointTable | None, within_km: float) -> ValuesAt:
    """Values of a map away from training points; NaN near them.

    Where observations near training points are dropped, background there would make the rest of
    the map look richer in presences than it is.
    """
    if training is None:
        return values_at
    trained = training.longitude, training.latitude

    def far(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.float64]:
        values = values_at(longitude, latitude)
        return np.where(near(longitude, latitude, *trained, within_km), np.nan, values)

    return far


def _swapped(points: PointTable, off: NDArray[np.bool_], values_at: ValuesAt) -> str:
    """Say so if points off the map lie on it with longitude and latitude exchanged."""
    could = off & (np.abs(points.longitude) <= 90)
    if not could.any():
        return ""
    on_map = np.isfinite(values_at(points.latitude[could], points.longitude[could]))
    if 2 * on_map.sum() < off.sum():
        return ""
    return (
        f"lon and lat seem to be swapped: {int(on_map.sum())} of the {int(off.sum())} points off "
        "the map lie on it the other way round"
    )


def _repeats(
    points: PointTable, present: NDArray[np.bool_], kept: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which of the kept points have the place (to a tenth of a metre) and outcome of an earlier."""
    index = np.flatnonzero(kept)
    key = np.stack([points.longitude, points.latitude], axis=1)[index].round(6)
    _, first = np.unique(np.column_stack([key, present[index]]), axis=0, return_index=True)
    repeats = kept.copy()
    repeats[index[first]] = False
    return repeats
