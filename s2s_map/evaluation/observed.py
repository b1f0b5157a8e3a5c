"""A finished map against geotagged observations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import DataError
from s2s_map.evaluation.places import ValuesAt, draw_like, squares
from s2s_map.evaluation.point_table import PointTable
from s2s_map.evaluation.used_points import ObservedSettings, UsedPoints, away_from, use_points
from s2s_map.scoring.bootstrap import Estimate, estimate
from s2s_map.scoring.occurrence import (
    BoyceCurve,
    Reliability,
    boyce,
    ranking_metrics,
    reliability,
)

BOYCE = "Boyce index"
AGAINST_BACKGROUND = "AUC against background"


@dataclass(frozen=True, eq=False)
class ObservedMap:
    """How well a map agrees with observations.

    Attributes:
        metrics: Estimates with intervals over squares; for presences only the Boyce index first.
        counts: Rows read, dropped and used.
        squares: Squares that the intervals are drawn from.
        background: Where the background was drawn from; None: there are absences.
        curve: Of the Boyce index; None: there are absences.
        diagram: Reliability; None: presences only, or values that are not probabilities.
        notes: What a reader should know.
    """

    metrics: Mapping[str, Estimate]
    counts: Mapping[str, int]
    squares: int
    background: str | None = None
    curve: BoyceCurve | None = None
    diagram: Reliability | None = None
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        curve = self.curve
        return {
            "metrics": {name: one.as_dict() for name, one in self.metrics.items()},
            "points": dict(self.counts),
            "squares": self.squares,
            "background": self.background,
            "boyce_curve": None
            if curve is None
            else {
                "value": curve.value.tolist(),
                "ratio": [float(r) if np.isfinite(r) else None for r in curve.ratio],
            },
            "reliability": None if self.diagram is None else self.diagram.as_dict(),
            "notes": list(self.notes),
        }


def evaluate_observed(
    used: UsedPoints,
    values_at: ValuesAt,
    effort: PointTable | None,
    settings: ObservedSettings,
    *,
    probability: bool,
    training: PointTable | None = None,
) -> ObservedMap:
    """Compare a map with observations.

    With presences only: against background points drawn as densely as one looked. With absences:
    against these.

    Args:
        used: The observations, see `use_points`.
        values_at: Values of the map.
        effort: All places where one looked, whatever was found; None: the presences themselves,
            which the notes say.
        settings: How.
        probability: Whether the values are probabilities, and may be drawn as reliability.
        training: Places of what the model was trained on: no background is drawn near them.

    Raises:
        DataError: For absences only.
    """
    if not used.present.any():
        raise DataError(
            f"{len(used.present)} absences and no presence left to compare with",
            expected="at least one point where it was found",
        )
    if used.present.all():
        far = away_from(values_at, training, settings.training_km)
        return _presence_only(used, far, effort, settings)
    return _presence_absence(used, settings, probability)


def _presence_only(
    used: UsedPoints, values_at: ValuesAt, effort: PointTable | None, settings: ObservedSettings
) -> ObservedMap:
    where = (used.longitude, used.latitude)
    background, notes = f"density of the presences, {settings.effort_km:g} km", list(used.notes)
    if effort is None:
        notes.append(
            "No effort points were given: the background is as dense as the presences themselves, "
            "which makes a map look worse than it is. Give all recordings of the region with "
            "--effort."
        )
    else:
        where = (effort.longitude, effort.latitude)
        background = (
            f"density of the {len(effort):,} points of {effort.name}, {settings.effort_km:g} km"
        )
    lon, lat, values = draw_like(
        *where, values_at, settings.background, settings.effort_km, settings.seed
    )
    present = np.concatenate([used.present, np.zeros(len(values), dtype=bool)])
    every = np.concatenate([used.values, values])
    groups = squares(
        np.concatenate([used.longitude, lon]),
        np.concatenate([used.latitude, lat]),
        settings.block_km,
    )

    def statistic(drawn: NDArray[np.intp]) -> dict[str, float]:
        return _metrics(every[drawn], present[drawn], presence_only=True)

    return ObservedMap(
        _estimates(statistic, len(every), groups, settings, notes),
        used.counts,
        int(groups.max()) + 1,
        background,
        boyce(used.values, values),
        notes=tuple(notes),
    )


def _presence_absence(
    used: UsedPoints, settings: ObservedSettings, probability: bool
) -> ObservedMap:
    notes = list(used.notes)
    groups = squares(used.longitude, used.latitude, settings.block_km)

    def statistic(drawn: NDArray[np.intp]) -> dict[str, float]:
        return ranking_metrics(used.values[drawn], used.present[drawn])

    metrics = _estimates(statistic, len(used.values), groups, settings, notes)
    share = float(used.present.mean())
    notes.append(
        f"Average precision of a map that says nothing: {share:.3f}, the presences' share."
    )
    within = used.values.min() >= 0 and used.values.max() <= 1
    diagram = reliability(used.values, used.present) if probability and within else None
    if diagram is not None:
        notes.append(
            "The reliability is for the share of presences among these points; where they were "
            "not drawn at random it says nothing of other places."
        )
    return ObservedMap(
        metrics, used.counts, int(groups.max()) + 1, diagram=diagram, notes=tuple(notes)
    )


def _metrics(
    values: NDArray[np.float64], present: NDArray[np.bool_], presence_only: bool
) -> dict[str, float]:
    if not presence_only:
        return ranking_metrics(values, present)
    if present.all() or not present.any():
        return {BOYCE: float("nan"), AGAINST_BACKGROUND: float("nan")}
    return {
        BOYCE: boyce(values[present], values[~present]).index,
        AGAINST_BACKGROUND: ranking_metrics(values, present)["AUC"],
    }


def _estimates(
    statistic: Any,
    count: int,
    groups: NDArray[np.int64],
    settings: ObservedSettings,
    notes: list[str],
) -> dict[str, Estimate]:
    if groups.max() + 1 < 10:
        notes.append(
            f"The points lie in {groups.max() + 1} squares of {settings.block_km:g} km: too few "
            "for the intervals to be trusted; give a smaller --block-km."
        )
    found = estimate(statistic, count, samples=settings.samples, seed=settings.seed, groups=groups)
    biased = [n for n, one in found.items() if one.value < one.low or one.value > one.high]
    if biased:
        notes.append(
            f"The interval does not hold the value of {', '.join(biased)}: drawn samples repeat "
            "points and are rougher than the whole. Read it as how far the value could be off."
        )
    return found


def compare_observed(
    first: ValuesAt,
    second: ValuesAt,
    points: PointTable,
    effort: PointTable | None,
    training: PointTable | None,
    settings: ObservedSettings,
) -> tuple[dict[str, dict[str, Estimate]], Mapping[str, int], list[str]]:
    """Compare two maps with the same observations, drawn together.

    Args:
        first: Values of a map.
        second: Values of another.
        points: The observations; those count that lie on data of both.
        effort: As for `evaluate_observed`.
        training: As for `use_points`.
        settings: How.

    Returns:
        By metric "first", "second" and "difference"; how many points were used; notes.

    Raises:
        DataError: If no point lies on both maps, or for absences only.
    """

    def both(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
        one = first(lon, lat)
        return np.where(np.isfinite(second(lon, lat)), one, np.nan)

    used = use_points(points, both, training, settings)
    lon, lat, present = used.longitude, used.latitude, used.present
    notes = list(used.notes)
    if not present.any():
        raise DataError(f"no presence in {points.name} lies on both maps")
    presence_only = bool(present.all())
    if presence_only:
        where = (lon, lat) if effort is None else (effort.longitude, effort.latitude)
        far, north, _ = draw_like(
            *where,
            away_from(both, training, settings.training_km),
            settings.background,
            settings.effort_km,
            settings.seed,
        )
        lon, lat = np.concatenate([lon, far]), np.concatenate([lat, north])
        present = np.concatenate([present, np.zeros(len(far), dtype=bool)])
        source = "the presences" if effort is None else effort.name
        notes.append(f"Background: {len(far):,} points as dense as {source}, the same for both.")
    values = {"first": first(lon, lat), "second": second(lon, lat)}

    def statistic(drawn: NDArray[np.intp]) -> dict[str, float]:
        here = present[drawn]
        found = {side: _metrics(v[drawn], here, presence_only) for side, v in values.items()}
        every = {f"{side} {name}": v for side, one in found.items() for name, v in one.items()}
        return every | {
            f"difference {name}": found["first"][name] - found["second"][name]
            for name in found["first"]
        }

    groups = squares(lon, lat, settings.block_km)
    sides: dict[str, dict[str, Estimate]] = {}
    for key, one in _estimates(statistic, len(lon), groups, settings, notes).items():
        side, _, name = key.partition(" ")
        sides.setdefault(name, {})[side] = one
    return sides, used.counts, notes
