"""Batches out of a stream of rows: shuffled window by window, and able to go on anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset

from s2s_map.config.train_sounds import SoundTrainConfig
from s2s_map.datasets.reading import SoundDataset
from s2s_map.errors import DataError
from s2s_map.training.draws import Draw, draws_of
from s2s_map.training.sound_batch import SoundBatch, StreamPlace
from s2s_map.training.sound_data import SoundItems
from s2s_map.training.text_features import TextFeatures

Window = tuple[StreamPlace, list[Any]]


class StreamedBatches(IterableDataset[SoundBatch]):
    """Endless batches of a streamed split, from any batch on.

    A window of `dataset.buffer` rows is read, still encoded, while the one before it is used; its
    rows are shuffled and decoded in threads. Files come in another order each time through the
    set. What a batch holds depends on seed, number and the set's files alone; a broken row is
    replaced by the next good one of its window. Each device reads all rows and decodes its own.

    Args:
        config: Batch, buffer, seed, threads.
        rows: The streamed split.
        features: Holds the features of its captions.
        start: Number of the first batch.
        place: Where the window that holds it, or one before, begins.
        rank: Which device this is for.
        devices: How many there are.
    """

    def __init__(
        self,
        config: SoundTrainConfig,
        rows: SoundDataset,
        features: TextFeatures,
        *,
        start: int = 0,
        place: StreamPlace | None = None,
        rank: int = 0,
        devices: int = 1,
    ) -> None:
        self._config, self._rows, self._features = config, rows, features
        self._start, self._place = start, place or StreamPlace()
        share = config.optimiser.batch // devices
        self._share = slice(rank * share, (rank + 1) * share)

    def __iter__(self) -> Iterator[SoundBatch]:
        """Yield this device's share of batch after batch, without end.

        Raises:
            DataError: If the split has fewer rows than a batch.
        """
        config = self._config
        size, seed = config.optimiser.batch, config.seed
        threads = max(1, config.dataset.workers)
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(threads) as pool:
            windows = self._windows()
            coming = reader.submit(next, windows)
            while True:
                place, rows = coming.result()
                coming = reader.submit(next, windows)
                items = SoundItems(config, self._rows.holding(rows), self._features)
                order = np.random.default_rng([seed, 4, place.batch]).permutation(len(rows))
                for turn in range(len(rows) // size):
                    number = place.batch + turn
                    if number < self._start:
                        continue
                    chosen = order[turn * size : (turn + 1) * size].tolist()
                    draws = draws_of(chosen, seed, number, self._share)
                    yield items.collate(list(pool.map(items.__getitem__, draws)), place)

    def _windows(self) -> Iterator[Window]:
        """Windows of undecoded rows, each with its place; the last of a turn may be smaller."""
        size = self._config.optimiser.batch
        whole = max(1, self._config.dataset.buffer // size) * size
        place, turn, read = self._place, self._place.turn, 0
        while True:
            window: list[Any] = []
            for file, row, content in self._turn(turn, place.file, place.row):
                window.append(content)
                if len(window) == whole:
                    yield place, window
                    read += 1
                    place = StreamPlace(place.batch + whole // size, turn, file, row + 1)
                    window = []
            if len(window) >= size:
                yield place, window
                read += 1
            if not read:
                raise DataError(
                    f"a training set of {len(window)} rows",
                    expected=f"at least optimiser.batch, {size}",
                )
            turn += 1
            place = StreamPlace(place.batch + len(window) // size, turn)

    def _turn(self, turn: int, file: int, row: int) -> Iterator[tuple[int, int, Any]]:
        """Rows of one time through the set, with the places of their file and in it."""
        files = self._rows.files()
        order = np.random.default_rng([self._config.seed, 3, turn]).permutation(files)
        for position in range(file, files):
            first = row if position == file else 0
            for number, content in enumerate(self._rows.file(int(order[position]), first), first):
                yield position, number, content


class StreamedValidation(IterableDataset[SoundBatch]):
    """A streamed split in order and unchanged, once; broken rows are left out.

    Args:
        config: Batch and threads.
        rows: The streamed split.
        features: Holds the features of its captions.
    """

    def __init__(
        self, config: SoundTrainConfig, rows: SoundDataset, features: TextFeatures
    ) -> None:
        self._config, self._rows, self._features = config, rows, features

    def __iter__(self) -> Iterator[SoundBatch]:
        """Yield batch after batch."""
        with ThreadPoolExecutor(max(1, self._config.dataset.workers)) as pool:
            for window in self._rows.portions(self._config.optimiser.batch):
                items = SoundItems(self._config, window, self._features)
                draws = [Draw(row, None) for row in range(len(window))]
                yield items.collate(list(pool.map(items.__getitem__, draws)))
