"""Which rows a batch has, and what is random about each: by seed and number of the batch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from s2s_map.errors import DataError


@dataclass(frozen=True)
class Draw:
    """One row of one batch.

    Attributes:
        row: Which row of the set.
        seed: Of what is random about it; None: nothing is.
        batch: Number of its batch from the start of training.
    """

    row: int
    seed: int | None
    batch: int = 0


def draws_of(rows: Sequence[int], seed: int, number: int, share: slice) -> list[Draw]:
    """A device's share of a batch.

    Args:
        rows: Rows of the whole batch.
        seed: Of everything random.
        number: Of the batch, from the start of training.
        share: Which of its rows are this device's.
    """
    seeds = np.random.default_rng([seed, 1, number]).integers(2**31, size=len(rows))
    pairs = zip(rows[share], seeds[share], strict=True)
    return [Draw(int(row), int(own), number) for row, own in pairs]


class Draws(Sampler[list[Draw]]):
    """Endless batches, shuffled again each time through the set, from any batch on.

    Args:
        rows: Rows of the set.
        batch: Rows of a batch over all devices.
        seed: Of everything random.
        start: Number of the first batch.
        rank: Which device this is for.
        devices: How many there are; each gets its share of every batch.

    Raises:
        DataError: For fewer rows than a batch has.
    """

    def __init__(
        self, rows: int, batch: int, seed: int, *, start: int = 0, rank: int = 0, devices: int = 1
    ) -> None:
        if rows < batch:
            raise DataError(
                f"a training set of {rows} rows", expected=f"at least optimiser.batch, {batch}"
            )
        self._rows, self._batch, self._seed = rows, batch, seed
        self._start, self._rank, self._devices = start, rank, devices

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield this device's share of batch after batch, without end."""
        number = self._start
        per_round = self._rows // self._batch
        share = self._batch // self._devices
        shuffled, order = -1, np.arange(self._rows)
        while True:
            turn, place = divmod(number, per_round)
            if turn != shuffled:
                order = np.random.default_rng([self._seed, turn]).permutation(self._rows)
                shuffled = turn
            mine = slice(self._rank * share, (self._rank + 1) * share)
            chosen = order[place * self._batch : (place + 1) * self._batch].tolist()
            yield draws_of(chosen, self._seed, number, mine)
            number += 1
