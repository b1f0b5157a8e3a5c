"""How much ground a threshold leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from s2s_map.server.answers import Answers, Question
from s2s_map.server.bounded_cache import BoundedCache
from s2s_map.server.viewed import Viewed

_KEPT_BYTES = 64 << 20


class Areas:
    """Areas above thresholds; the values of a layer are sorted once, so that a slider is quick.

    Args:
        answers: What scores questions.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._sorted = BoundedCache(_KEPT_BYTES)

    def of_layer(self, viewed: Viewed, name: str, slot: str, above: float) -> dict[str, float]:
        """Return the km2 of a layer's cells at or above a value, and of all its cells with data."""

        def values() -> list[tuple[NDArray[np.float32], float]]:
            return [
                (
                    np.asarray(layer.probability[run.time_slots.index(slot)]).ravel(),
                    (run.grid.cell_m / 1000) ** 2,
                )
                for run, layer in viewed.layers[name]
                if slot in run.time_slots
            ]

        return self._area((viewed.version, "layer", name, slot), values, above)

    def of_question(
        self, viewed: Viewed, question: Question, slot: str, above: float
    ) -> dict[str, float]:
        """Return the same of a question; of a large map by the means of an overview."""
        return self._area(
            (viewed.version, "question", question.id, slot),
            lambda: self._answers.area_values(viewed, question, slot),
            above,
        )

    def _area(self, key: tuple[str, ...], values: object, above: float) -> dict[str, float]:
        def sorted_values() -> tuple[NDArray[np.float32], ...]:
            found: list[NDArray[np.float32]] = []
            for cells, km2 in values():  # type: ignore[operator]
                found += [
                    np.sort(cells[np.isfinite(cells)]), np.array([km2], dtype=np.float32)
                ]  # fmt: skip
            return tuple(found)

        parts = self._sorted.get(key, sorted_values)
        left = whole = 0.0
        for cells, km2 in zip(parts[::2], parts[1::2], strict=True):
            side = float(np.asarray(km2)[0])
            whole += len(cells) * side
            left += (len(cells) - int(np.searchsorted(cells, np.float32(above)))) * side
        return {"km2": left, "of_km2": whole}
