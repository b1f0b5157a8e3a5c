"""The loaders of both splits of a set of sounds."""

from __future__ import annotations

from typing import Any

import lightning
from torch.utils.data import DataLoader

from s2s_map.config.train_sounds import SoundTrainConfig
from s2s_map.datasets.reading import SoundDataset
from s2s_map.training.draws import Draw, Draws
from s2s_map.training.sound_batch import StreamPlace
from s2s_map.training.sound_data import SoundItems
from s2s_map.training.sound_stream import StreamedBatches, StreamedValidation
from s2s_map.training.text_features import TextFeatures


class SoundLoaders(lightning.LightningDataModule):
    """The loaders of both splits, by number of the row or streamed.

    Args:
        config: Batch, seed, workers.
        splits: Opened splits by name.
        features: Holds the captions' features.
        start: Number of the first batch.
        place: Where a stream goes on.
    """

    def __init__(
        self,
        config: SoundTrainConfig,
        splits: dict[str, SoundDataset],
        features: TextFeatures,
        start: int,
        place: StreamPlace | None = None,
    ) -> None:
        super().__init__()
        self._config, self._features = config, features
        self._start, self._place = start, place
        self._train = splits[config.dataset.train]
        self._validation = splits[config.dataset.validation]

    def train_dataloader(self) -> DataLoader[Any]:
        """This device's share of every batch."""
        config = self._config
        rank = self.trainer.global_rank if self.trainer else 0
        devices = self.trainer.world_size if self.trainer else 1
        if self._train.streamed:
            return self._streaming(
                StreamedBatches(
                    config,
                    self._train,
                    self._features,
                    start=self._start,
                    place=self._place,
                    rank=rank,
                    devices=devices,
                )
            )
        draws = Draws(
            len(self._train),
            config.optimiser.batch,
            config.seed,
            start=self._start,
            rank=rank,
            devices=devices,
        )
        return self._numbered(self._train, draws)

    def val_dataloader(self) -> DataLoader[Any]:
        """The whole validation split, in order and unchanged."""
        if self._validation.streamed:
            return self._streaming(
                StreamedValidation(self._config, self._validation, self._features)
            )
        count, size = len(self._validation), self._config.optimiser.batch
        rows = [Draw(row, None) for row in range(count)]
        batches = [rows[i : i + size] for i in range(0, count, size)]
        return self._numbered(self._validation, batches)

    def _numbered(self, rows: SoundDataset, batches: Any) -> DataLoader[Any]:
        items = SoundItems(self._config, rows, self._features)
        workers = self._config.dataset.workers
        return DataLoader(
            items,
            batch_sampler=batches,
            collate_fn=items.collate,
            num_workers=workers,
            persistent_workers=workers > 0,
        )

    def _streaming(self, batches: Any) -> DataLoader[Any]:
        # One process reads: several would each read the whole stream.
        workers = min(1, self._config.dataset.workers)
        return DataLoader(
            batches, batch_size=None, num_workers=workers, persistent_workers=workers > 0
        )
